// Growing a match over small differences, as far as it gains more than it loses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "align/align_kernels.h"

namespace dk::align {

// Part of an extension, as distances from where it began.
struct Stretch {
  size_t begin;
  size_t end;
};

// Bytes of the `limit` from `a` and `b` on that should join a match that ends there. The last of them is equal.
// Appends the stretches in which many bytes differ: they may reach beyond the result.
size_t ExtendForward(const Kernels& kernels, const uint8_t* a, const uint8_t* b, size_t limit,
                     std::vector<Stretch>* poor);

// The same for the bytes in front of the two ends.
size_t ExtendBack(const Kernels& kernels, const uint8_t* a_end, const uint8_t* b_end, size_t limit,
                  std::vector<Stretch>* poor);

}  // namespace dk::align
