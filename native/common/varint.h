// Unsigned LEB128, at most 10 bytes for 64 bits, and a reader that never leaves its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dk {

inline void PutVarint(std::vector<uint8_t>* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<uint8_t>(value));
}

// Reads from bytes it does not own; the bytes must outlive it.
class Reader {
 public:
  Reader(const uint8_t* data, size_t length) : at_(data), end_(data + length) {}

  size_t left() const { return static_cast<size_t>(end_ - at_); }

  // False when the bytes end early, the value passes 64 bits, or it is not in its shortest form.
  bool Varint(uint64_t* value) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return false;
      const uint8_t byte = *at_++;
      if (shift == 63 && byte > 1) return false;
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *value = result;
        return byte != 0 || shift == 0;
      }
    }
    return false;
  }

  // The next `length` bytes, or nullptr when there are fewer.
  const uint8_t* Take(uint64_t length) {
    if (length > left()) return nullptr;
    const uint8_t* taken = at_;
    at_ += length;
    return taken;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace dk
