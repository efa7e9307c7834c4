#include "dense/dense_group.h"

#include <cstring>
#include <memory>
#include <utility>

#include "common/little.h"
#include "xxhash/xxhash_face.h"
#include "zstd/zstd_face.h"

namespace dk::dense {
namespace {

constexpr uint32_t kMagic = 0x31474b44;  // "DKG1"
constexpr size_t kHeadBytes = 40;
// Of the head, what its own check is over.
constexpr size_t kCheckedBytes = 32;
constexpr size_t kCheckBytes = 8;
constexpr uint64_t kPackHeaderBytes = 64;
// A frame may be a little longer than what it holds, and that than what it stands for.
constexpr uint64_t kSlack = 1u << 16;

// Of a head at home.
uint64_t HeadCheck(ByteSpan home, const uint8_t* head) {
  uint8_t bytes[kHomeBytesMax + kCheckedBytes];
  if (home.length > 0) memcpy(bytes, home.data, home.length);
  memcpy(bytes + home.length, head, kCheckedBytes);
  return xxhash::Hash64(bytes, home.length + kCheckedBytes);
}

}  // namespace

bool OpenGroup(ByteSpan group, const GroupPlace& place, Hash hash, FoldedGroup* opened) {
  if (group.length < kHeadBytes + kCheckBytes || Little(group.data, 4) != kMagic) return false;
  if (place.home.length > kHomeBytesMax) return false;
  if (Little(group.data + kCheckedBytes, 8) != HeadCheck(place.home, group.data)) return false;
  const uint64_t frame = Little(group.data + 4, 4);
  const uint64_t folded = Little(group.data + 8, 4);
  const uint64_t records = Little(group.data + 12, 4);
  if (Little(group.data + 16, 8) != place.offset || Little(group.data + 24, 8) != place.bytes) return false;
  if (place.bytes > kGroupBytesMax || place.offset < kPackHeaderBytes) return false;
  if (folded > place.bytes + kSlack || frame > folded + kSlack) return false;
  if (records < 1 || records > place.bytes / kRecordMinBytes) return false;
  if (group.length != kHeadBytes + frame + kCheckBytes) return false;
  const size_t end = group.length - kCheckBytes;
  if (Little(group.data + end, 8) != xxhash::Hash64(group.data, end)) return false;
  const ByteSpan packed{group.data + kHeadBytes, static_cast<size_t>(frame)};
  // Before memory is taken for it.
  uint64_t declared = 0;
  if (zstd::ContentSize(packed, &declared) && declared != folded) return false;
  // Not of the pool, which would ask for huge pages: where the host has to find them first they take five times as
  // long.
  FoldedBytes bytes{std::unique_ptr<uint8_t[]>(new uint8_t[folded]), static_cast<size_t>(folded)};
  if (zstd::Decompress(packed, {}, {}, bytes.data.get(), bytes.length) != Status::kOk) return false;
  return opened->Open(std::move(bytes), {records, place.bytes, hash});
}

}  // namespace dk::dense
