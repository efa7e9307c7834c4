// Layout of a BSDIFF40 file, shared by the two directions.
//
//   'BSDIFF40' | length of control | length of differences | length of the target | three bzip2 streams:
//   control := triple*      triple := add | copy | seek       differences, extra bytes
//
// A triple adds `add` bytes of differences to as many source bytes at the source position, copies `copy` extra bytes,
// and moves the source position by `add` + `seek`. Numbers: 8 bytes, little-endian, magnitude and a sign bit on top.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk::bsdiff {

constexpr char kMagic[] = "BSDIFF40";
constexpr size_t kNumberBytes = 8;
constexpr size_t kHeaderBytes = 4 * kNumberBytes;
constexpr size_t kTripleBytes = 3 * kNumberBytes;

inline void PutNumber(uint8_t* out, int64_t value) {
  uint64_t bits = value < 0 ? (uint64_t{1} << 63) | (0 - static_cast<uint64_t>(value)) : static_cast<uint64_t>(value);
  for (size_t i = 0; i < kNumberBytes; ++i, bits >>= 8) out[i] = static_cast<uint8_t>(bits);
}

inline int64_t GetNumber(const uint8_t* in) {
  uint64_t bits = 0;
  for (size_t i = kNumberBytes; i-- > 0;) bits = bits << 8 | in[i];
  const int64_t magnitude = static_cast<int64_t>(bits & ~(uint64_t{1} << 63));
  return bits >> 63 != 0 ? -magnitude : magnitude;
}

}  // namespace dk::bsdiff
