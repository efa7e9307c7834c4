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

// Bytes of the record whose head begins at `at`, as the head says it; 0 when none begins there. Nothing of it is
// checked.
uint64_t RecordBytes(ByteSpan bytes, size_t at);

// The whole record of this blob that begins at `at`, or false. The last bytes of it must be its checksum.
bool ReadRecord(ByteSpan bytes, size_t at, const uint8_t* digest, Link* link);

// Whether a context list is one blob from its beginning on; gives its digest and how many bytes of it.
bool ReadContext(ByteSpan list, const uint8_t** digest, uint64_t* length);

// The blob whose record is the last `record` bytes of `bytes`, and what it is made of, each coded against the whole of
// the next one, down to one that needs nothing. False when any of them does not stand whole in `bytes` before what
// names it, is not what was asked for, or has a context of another kind: nothing is said about why.
bool FindChain(ByteSpan bytes, size_t record, const uint8_t* digest, std::vector<Link>* links);

}  // namespace dk::chain
