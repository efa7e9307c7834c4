// What the encoder and the decoder of a payload must agree on; normative text in docs/format-tensor.md.
//
//   payload := form u8 (1), segment*                 until the target is full
//   segment := varint length, kind u8, [varint diagonal], body
//   plane   := varint storedLength, bytes            storedLength 0: the bytes themselves; else a zstd frame
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace dk::planes {

constexpr uint8_t kForm = 1;

// Kinds of segments: bytes, a copy, or elements of 2, 4 or 8 bytes; with kFromSource a diagonal follows.
constexpr uint8_t kBytes = 0;
constexpr uint8_t kCopy = 1;
constexpr uint8_t kFromSource = 16;

constexpr size_t kSegmentBytesMax = size_t{16} << 20;  // copies are not limited
// The prefix of bytes reaches this much further than they do.
constexpr size_t kPrefixMargin = 4096;
// No number is larger, so that every language can hold it.
constexpr uint64_t kNumberMax = (uint64_t{1} << 53) - 1;

inline bool IsWidth(unsigned width) { return width == 2 || width == 4 || width == 8; }

inline uint64_t ZigZag(int64_t value) { return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63); }
inline int64_t UnZigZag(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }

}  // namespace dk::planes
