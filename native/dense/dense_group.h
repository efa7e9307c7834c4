// A group of a dense pack, as it stands in the file: docs/format.md, section 12; src/format/dense-group.ts reads the
// same.
#pragma once

#include <cstdint>

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

// `group`: exactly its bytes. False when it is damaged, stands for something else, or has another home; throws
// std::bad_alloc.
bool OpenGroup(ByteSpan group, const GroupPlace& place, Hash hash, FoldedGroup* opened);

}  // namespace dk::dense
