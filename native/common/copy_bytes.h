// Copies of much memory. A C library, and a compiler that knows how long a piece is at most, copy long stretches by one
// instruction that is up to half again as slow where source and destination do not lie alike, as memory from malloc and
// pages do. Here it goes by vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dk {

// As memcpy.
inline void CopyBytes(uint8_t* to, const uint8_t* from, size_t length) {
  // Of 16 bytes: both compilers have them for every processor.
  typedef uint64_t Vector __attribute__((vector_size(16)));
  constexpr size_t kVector = sizeof(Vector), kPiece = 4 * kVector;
  size_t at = 0;
  for (; length - at >= kPiece; at += kPiece) {
    Vector a, b, c, d;
    memcpy(&a, from + at, kVector);
    memcpy(&b, from + at + kVector, kVector);
    memcpy(&c, from + at + 2 * kVector, kVector);
    memcpy(&d, from + at + 3 * kVector, kVector);
    memcpy(to + at, &a, kVector);
    memcpy(to + at + kVector, &b, kVector);
    memcpy(to + at + 2 * kVector, &c, kVector);
    memcpy(to + at + 3 * kVector, &d, kVector);
  }
  if (at < length) memcpy(to + at, from + at, length - at);
}

}  // namespace dk
