// What numbers of runs come to, and their Rice codes four at a time; with the widest vectors there are. Every level
// gives the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/cpu.h"

namespace dk::sparse {

struct Totals {
  uint64_t sum;
  uint32_t largest;
};

using TotalsOf = Totals (*)(const uint32_t* values, size_t count);

// The sum of all values, each shifted right; it must be below 2^32.
using ShiftedSum = uint32_t (*)(const uint32_t* values, size_t count, unsigned k);

// Values that one step of CodeFours takes, and what it makes of them.
constexpr size_t kCodeStep = 16;
constexpr size_t kFours = kCodeStep / 4;
// Bits that four codes may have together.
constexpr unsigned kFourBits = 56;

// Rice codes of values, each followed by `zeros` times k + 1 zeros; none of the codes is longer than 32 bits. Four of
// them are one number, the first one in its lowest bits. Returns how many steps were made, from the first one on: those
// whose codes all fit; room for kFours numbers more is written to. A level without a quick way makes none.
using CodeFours = size_t (*)(const uint32_t* values, const uint32_t* zeros, size_t steps, unsigned k, uint64_t* codes,
                             uint64_t* bits);

struct CodeKernels {
  TotalsOf totals;
  ShiftedSum shifted_sum;
  CodeFours fours;
};

// Kernels of the highest level that is at most `level` and that this processor has.
CodeKernels CodeKernelsFor(Simd level);

}  // namespace dk::sparse
