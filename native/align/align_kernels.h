// Comparing two byte strings, with the widest vectors there are. Every level gives the same answers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/cpu.h"

namespace dk::align {

constexpr size_t kBlockBytes = 32;

struct Kernels {
  // How many leading bytes are equal, at most `length`.
  size_t (*equal_run)(const uint8_t* a, const uint8_t* b, size_t length);
  // How many of the bytes in front of the two ends are equal, counted from the ends, at most `length`.
  size_t (*equal_run_back)(const uint8_t* a_end, const uint8_t* b_end, size_t length);
  // The first multiple of kBlockBytes at which a whole block is equal, or `length` when there is none.
  size_t (*equal_block)(const uint8_t* a, const uint8_t* b, size_t length);
  // Bit i says whether a[i] == b[i], for 64 bytes.
  uint64_t (*equal_mask)(const uint8_t* a, const uint8_t* b);
};

// Kernels of the highest level that is at most `level` and that this processor has.
const Kernels& KernelsFor(Simd level);

}  // namespace dk::align
