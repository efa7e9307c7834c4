// Bytes that somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dk {

struct ByteSpan {
  const uint8_t* data = nullptr;
  size_t length = 0;
};

// How many bytes from the start are equal, at most `length`.
inline size_t EqualBytes(const uint8_t* a, const uint8_t* b, size_t length) {
  size_t i = 0;
  for (; i + 8 <= length; i += 8) {
    uint64_t x, y;
    memcpy(&x, a + i, 8);
    memcpy(&y, b + i, 8);
    if (x != y) return i + static_cast<size_t>(__builtin_ctzll(x ^ y)) / 8;
  }
  while (i < length && a[i] == b[i]) ++i;
  return i;
}

}  // namespace dk
