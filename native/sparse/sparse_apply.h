// A piece of a source on its way into a target, with single bytes changed at even distances; with the widest vectors
// there are. Every level gives the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/cpu.h"

namespace dk::sparse {

// Bytes that change: inside the piece.
struct EvenPoints {
  uint64_t first;
  uint64_t stride;  // at least 1
  uint64_t count;
  const uint8_t* values;  // so many
  bool plain;             // values are what is there then; else what differs
};

// Source and target do not overlap.
using CopyEven = void (*)(const uint8_t* source, size_t length, const EvenPoints& points, uint8_t* target);

// The quickest way of the highest level that is at most `level` and that this processor has.
CopyEven CopyEvenFor(Simd level);

}  // namespace dk::sparse
