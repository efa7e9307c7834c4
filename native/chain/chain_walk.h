// Chains of deltas of many blobs at once, followed through pieces of packs as far as these reach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "chain/record_chain.h"
#include "common/byte_span.h"

namespace dk::chain {

// A record that is known to stand in one of the windows.
struct Start {
  size_t window = 0;
  size_t at = 0;
  size_t length = 0;
  const uint8_t* digest = nullptr;
};

struct Walk {
  // Whole records, each once, in the windows.
  std::vector<ByteSpan> records;
  // Digests of what these are coded against that does not stand in any window, each once, in the windows.
  std::vector<const uint8_t*> missing;
};

// Follows each record to what it is coded against, and so on. What is not whole, or has a context of another kind than
// the whole of one blob, is left out, and nothing is said about why. The time it takes grows with the windows, not with
// what stands in them.
Walk FollowChains(const std::vector<ByteSpan>& windows, const std::vector<Start>& starts);

}  // namespace dk::chain
