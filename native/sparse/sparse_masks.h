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

// Blocks that RunsOfMasks takes at most, and room that it needs for each of its results.
constexpr size_t kRunBlocksMax = 64;
constexpr size_t kRunsRoom = (kRunBlocksMax + 1) * kBlock / 2;

// The runs of set bits: of each, the bits between it and the one before (of the first: before it), and its own beyond
// its first. `*end` is where the last one ends. Returns how many; anything may lie behind them.
using RunsOfMasks = size_t (*)(const uint64_t* masks, size_t blocks, uint32_t* skips, uint32_t* extras, size_t* end);

struct MaskKernels {
  MaskBlocks masks;
  GatherBlocks gather;
  TakeBlocks take;
  RunsOfMasks runs;
};

// Kernels of the highest level that is at most `level` and that this processor has.
MaskKernels MaskKernelsFor(Simd level);

}  // namespace dk::sparse
