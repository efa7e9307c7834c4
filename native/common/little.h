// Little-endian numbers, byte by byte: the machine may be of the other endianness, and nothing here is aligned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk {

// At most 8 bytes.
inline uint64_t Little(const uint8_t* from, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | from[i];
  return value;
}

inline void PutLittle(uint8_t* to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<uint8_t>(value >> 8 * i);
}

}  // namespace dk
