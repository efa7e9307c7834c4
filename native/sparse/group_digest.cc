#include "sparse/group_digest.h"

#include <cstring>
#include <utility>

#include "blake3/blake3_face.h"
#include "xxhash/striped_sum.h"
#include "xxhash/xxhash_face.h"

namespace dk::sparse {
namespace {

constexpr size_t kGroup = blake3::kGroupBytes;
constexpr size_t kQuickBytes = DigestBytes(DigestKind::kXxh3);
constexpr char kQuickMagic[] = "DKXXH3L1";
constexpr size_t kQuickHead = 16;

size_t ValueCount(size_t length) { return length == 0 ? 0 : (length - 1) / kGroup; }

// "DKXXH3L1", length, value of each group: the last one's, too.
void QuickRoot(const Groups& values, const uint8_t* target, size_t length, uint8_t* digest) {
  std::vector<uint8_t> list(kQuickHead + values.size() + (length == 0 ? 0 : kQuickBytes));
  memcpy(list.data(), kQuickMagic, 8);
  for (size_t i = 0; i < 8; ++i) list[8 + i] = static_cast<uint8_t>(uint64_t{length} >> (8 * i));
  if (!values.empty()) memcpy(list.data() + kQuickHead, values.data(), values.size());
  const size_t start = ValueCount(length) * kGroup;
  if (length > 0) xxhash::Hash128(target + start, length - start, 0, list.data() + kQuickHead + values.size());
  xxhash::Hash128(list.data(), list.size(), 0, digest);
}

}  // namespace

GroupDigest::GroupDigest(DigestKind kind, size_t target_length, size_t source_length, ByteSpan source_groups)
    : kind_(kind),
      target_length_(target_length),
      count_(ValueCount(target_length)),
      values_(count_ * DigestBytes(kind)) {
  if (source_groups.length == ValueCount(source_length) * DigestBytes(kind)) known_ = source_groups;
}

void GroupDigest::TakeFull(const uint8_t* group, size_t index, bool same) {
  const size_t bytes = DigestBytes(kind_);
  uint8_t* const value = values_.data() + index * bytes;
  if (same && (index + 1) * bytes <= known_.length)
    memcpy(value, known_.data + index * bytes, bytes);
  else if (kind_ == DigestKind::kBlake3)
    blake3::GroupValue(group, index, value);
  else
    xxhash::Hash128(group, kGroup, 0, value);
}

void GroupDigest::TakeSums(const uint64_t* sums, size_t index) {
  xxhash::FinishStriped(sums, values_.data() + index * kQuickBytes);
}

void GroupDigest::Finish(const uint8_t* target, Digested* out) {
  const size_t start = count_ * kGroup;
  if (kind_ == DigestKind::kBlake3)
    blake3::RootFromGroups(values_.data(), count_, target + start, target_length_ - start, out->digest);
  else
    QuickRoot(values_, target, target_length_, out->digest);
  out->groups = std::move(values_);
}

}  // namespace dk::sparse
