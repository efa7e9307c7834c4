// What `TakeBlocks` does to a whole group, and the sums of its XXH3-128 on the way.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/cpu.h"
#include "sparse/sparse_masks.h"
#include "xxhash/striped_sum.h"

namespace dk::sparse {

constexpr size_t kSummedBlocks = xxhash::kStripedBytes / kBlock;
static_assert(kBlock == xxhash::kStripeBytes, "a block is a stripe");

// Of a group of the target, once `made`.
struct GroupSums {
  uint64_t lanes[xxhash::kStripeLanes];
  bool made = false;
};

// As TakeBlocks of kSummedBlocks blocks; `sums` starts as xxhash::kStripedStart.
using TakeSummed = size_t (*)(const uint8_t* source, const uint8_t* target, bool plain, uint64_t* masks, uint8_t* out,
                              uint64_t* sums);

// nullptr where nothing is won by it: the bytes are taken and hashed one after the other there.
TakeSummed TakeSummedFor(Simd level);

}  // namespace dk::sparse
