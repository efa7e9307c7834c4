// Numbers into byte planes and back, with the widest vectors there are. Every level gives the same bytes.
//
// An element is an unsigned number, lowest byte first. With a source it becomes the zigzag of the difference between
// the two as ordered integers (floats of the same sign in their own order, negative ones mirrored below); without one
// it is rotated left by one bit, so that the exponent fills a byte of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/cpu.h"

namespace dk::planes {

constexpr size_t kWidthMax = 8;

// `planes` get byte k of each of `count` elements; `source` may be nullptr. Planes need not be aligned and must not
// overlap anything.
using Split = void (*)(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes);
using Merge = void (*)(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target);

struct Kernels {
  Split split2, split4, split8;
  Merge merge2, merge4, merge8;

  Split SplitOf(size_t width) const { return width == 2 ? split2 : width == 4 ? split4 : split8; }
  Merge MergeOf(size_t width) const { return width == 2 ? merge2 : width == 4 ? merge4 : merge8; }
};

// Kernels of the highest level that is at most `level` and that this processor has.
const Kernels& KernelsFor(Simd level);

}  // namespace dk::planes
