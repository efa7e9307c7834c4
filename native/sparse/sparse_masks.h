// Which bytes differ, 64 to a word, and these bytes one behind the other; with the widest vectors there are.
// Every level gives the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/cpu.h"

namespace dk::sparse {

constexpr size_t kBlock = 64;

// One bit per byte of `blocks` blocks that differs, the lowest for the first byte.
using MaskBlocks = void (*)(const uint8_t* source, const uint8_t* target, size_t blocks, uint64_t* masks);

// The bytes that the masks name, as XOR with the source or (`plain`) as they are. Returns how many; up to kBlock bytes
// behind them are written, too.
using GatherBlocks = size_t (*)(const uint8_t* source, const uint8_t* target, const uint64_t* masks, size_t blocks,
                                bool plain, uint8_t* out);

// Both in one pass.
using TakeBlocks = size_t (*)(const uint8_t* source, const uint8_t* target, size_t blocks, bool plain, uint64_t* masks,
                              uint8_t* out);

// Blocks that BoundsOfRuns takes at most, and room that it needs for each of its results.
constexpr size_t kBoundsMax = 64;
constexpr size_t kBoundsRoom = (kBoundsMax + 1) * kBlock / 2;

// First and last bytes of the runs of set bits, counted from the first block on; a run ends where the blocks do.
// Returns how many runs; anything may lie behind them.
using BoundsOfRuns = size_t (*)(const uint64_t* masks, size_t blocks, uint16_t* firsts, uint16_t* lasts);

struct MaskKernels {
  MaskBlocks masks;
  GatherBlocks gather;
  TakeBlocks take;
  BoundsOfRuns bounds;
};

// Kernels of the highest level that is at most `level` and that this processor has.
MaskKernels MaskKernelsFor(Simd level);

}  // namespace dk::sparse
