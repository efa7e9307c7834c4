// Chains of short deltas in a piece of a pack: records that name each other by digest and stand near each other.
// The layout of a record and of a context list is that of docs/format.md, section 3; who writes is
// src/format/record.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"

namespace dk::chain {

constexpr size_t kDigestBytes = 32;
// Decoded bytes of one link at most.
constexpr uint32_t kLinkBytesMax = 1u << 20;

// A record that was whole by its checksum. What it decodes to is not verified.
struct Link {
  uint8_t codec = 0;
  uint8_t depth = 0;
  uint32_t decoded = 0;
  ByteSpan context_list;
  ByteSpan payload;
};

// The blob whose record is the last `record` bytes of `bytes`, and what it is made of, each coded against the whole of
// the next one, down to one that needs nothing. False when any of them does not stand whole in `bytes` before what
// names it, is not what was asked for, or has a context of another kind: nothing is said about why.
bool FindChain(ByteSpan bytes, size_t record, const uint8_t* digest, std::vector<Link>* links);

}  // namespace dk::chain
