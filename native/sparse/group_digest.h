// Digests that are made of the values of groups of 64 KiB, so that a group which is known not to have changed need not
// be hashed again: BLAKE3, and the quick digest of docs/format-state.md (XXH3-128 of the list of XXH3-128 values).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"

namespace dk::sparse {

// Values of the full groups of some bytes, the last group left out when the bytes end with it. Empty: not known.
using Groups = std::vector<uint8_t>;

enum class DigestKind { kBlake3, kXxh3 };

// Of a digest, and of the value of a group.
constexpr size_t DigestBytes(DigestKind kind) { return kind == DigestKind::kBlake3 ? 32 : 16; }

struct Digested {
  DigestKind kind = DigestKind::kBlake3;  // what is wanted
  uint8_t digest[32] = {};                // the first DigestBytes(kind)
  Groups groups = {};
};

// Collects the values of a target while its groups go by.
class GroupDigest {
 public:
  // `source_groups` of another length than the source has are ignored.
  GroupDigest(DigestKind kind, size_t target_length, size_t source_length, ByteSpan source_groups);

  // Group `index`. Nothing is done for the last one, full or not. `same`: it equals that of the source.
  void Take(const uint8_t* group, size_t index, bool same) {
    if (index < count_) TakeFull(group, index, same);
  }

  // Whether the value of group `index` may be made of sums of its stripes (xxhash/striped_sum.h), and the value.
  bool TakesSums(size_t index) const { return index < count_ && kind_ == DigestKind::kXxh3; }
  void TakeSums(const uint64_t* sums, size_t index);

  // @param target all of it
  void Finish(const uint8_t* target, Digested* out);

 private:
  void TakeFull(const uint8_t* group, size_t index, bool same);

  const DigestKind kind_;
  const size_t target_length_;
  const size_t count_;
  ByteSpan known_;
  Groups values_;
};

}  // namespace dk::sparse
