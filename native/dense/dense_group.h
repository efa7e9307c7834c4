// A group of a dense pack, as it stands in the file: docs/format.md, section 12; src/format/dense-group.ts reads the
// same.
#pragma once

#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "dense/folded_group.h"

namespace dk::dense {

// What the group is to stand for.
struct GroupPlace {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  // The checksum of the head is over these bytes before it, too.
  ByteSpan home;
};

constexpr size_t kHomeBytesMax = 64;

// Bytes of the longest group: head, frame and checksum.
constexpr uint64_t kFileBytesMax = 40 + kGroupBytesMax + (2u << 16) + 8;

// `group`: exactly its bytes. What `wanted` needs is at hand afterwards; of the rest nothing may have been decoded, let
// alone checked. False when it is damaged as far as that goes, stands for something else, or has another home; throws
// std::bad_alloc.
bool OpenGroup(ByteSpan group, const GroupPlace& place, Hash hash, const Stretch& wanted, FoldedGroup* opened);

// Decodes more of a group that was opened: the bodies that are missing, or all where that is not much dearer, or just
// all. False when they cannot be decoded; throws std::bad_alloc.
bool DecodeBodies(ByteSpan group, size_t folded_bytes, const std::vector<Body>& missing, Bodies* bodies);
bool DecodeAll(ByteSpan group, size_t folded_bytes, Bodies* bodies);

}  // namespace dk::dense
