// Two polynomials over 32 bytes, modulo 2^32: cheap to move by one byte, and the same in a language without 64-bit
// integers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk::window {

constexpr size_t kSampleBytes = 32;

constexpr uint32_t Power(uint32_t base, size_t exponent) {
  uint32_t result = 1;
  for (size_t i = 0; i < exponent; ++i) result *= base;
  return result;
}

class RollingHash {
 public:
  explicit RollingHash(const uint8_t* at) { Restart(at); }

  void Restart(const uint8_t* at) {
    first_ = second_ = 0;
    for (size_t i = 0; i < kSampleBytes; ++i) {
      first_ = first_ * kFirst + at[i];
      second_ = second_ * kSecond + at[i];
    }
  }

  // From the sample at `at` to the one at `at` + 1.
  void Roll(const uint8_t* at) {
    first_ = first_ * kFirst + at[kSampleBytes] - at[0] * kFirstOut;
    second_ = second_ * kSecond + at[kSampleBytes] - at[0] * kSecondOut;
  }

  uint32_t first() const { return first_; }
  uint32_t second() const { return second_; }

 private:
  static constexpr uint32_t kFirst = 0x9e3779b1;
  static constexpr uint32_t kSecond = 0x85ebca77;
  static constexpr uint32_t kFirstOut = Power(kFirst, kSampleBytes);
  static constexpr uint32_t kSecondOut = Power(kSecond, kSampleBytes);

  uint32_t first_;
  uint32_t second_;
};

}  // namespace dk::window
