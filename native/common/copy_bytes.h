// Copies of much memory. A C library may copy long stretches by one instruction that is up to half again as slow where
// source and destination do not lie alike, as memory from malloc and pages do; short stretches go by vectors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dk {

// As memcpy.
inline void CopyBytes(uint8_t* to, const uint8_t* from, size_t length) {
  constexpr size_t kPiece = 1024;
  for (size_t at = 0; at < length; at += kPiece) memcpy(to + at, from + at, std::min(kPiece, length - at));
}

}  // namespace dk
