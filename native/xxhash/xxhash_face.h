// XXH3: fast checksums of pages and records. Not for naming content.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk::xxhash {

uint64_t Hash64(const uint8_t* data, size_t length, uint64_t seed = 0);

// 16 bytes in canonical (big-endian) order.
void Hash128(const uint8_t* data, size_t length, uint64_t seed, uint8_t out[16]);

const char* Version();

}  // namespace dk::xxhash
