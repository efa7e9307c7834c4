#include "chain/record_chain.h"

#include <string.h>

#include "common/little.h"
#include "common/record_layout.h"
#include "common/varint.h"
#include "xxhash/xxhash_face.h"

namespace dk::chain {
namespace {

// Kinds of records that hold content.
constexpr uint8_t kBlob = 1;
constexpr uint8_t kRecipe = 2;
// LIMITS.chainDepthMax of src/core/limits.ts.
constexpr uint8_t kDepthMax = 64;
// A digest also stands where it is referred to: in so many places its record is looked for.
constexpr int kPlacesMax = 64;

}  // namespace

uint64_t RecordBytes(ByteSpan bytes, size_t at) {
  if (at > bytes.length || bytes.length - at < kRecordMinBytes) return 0;
  const uint8_t* head = bytes.data + at;
  if (Little(head, 4) != kRecordMagic) return 0;
  return kRecordMinBytes + Little(head + 8, 4) + Little(head + 16, 4);
}

bool ReadRecord(ByteSpan bytes, size_t at, const uint8_t* digest, Link* link) {
  if (at > bytes.length || bytes.length - at < kRecordMinBytes) return false;
  const uint8_t* head = bytes.data + at;
  if (Little(head, 4) != kRecordMagic || (head[4] != kBlob && head[4] != kRecipe) || head[6] > kDepthMax ||
      head[7] != 0) {
    return false;
  }
  if (memcmp(head + kRecordDigestAt, digest, kDigestBytes) != 0) return false;
  const uint64_t list = Little(head + 8, 4);
  const uint64_t decoded = Little(head + 12, 4);
  const uint64_t payload = Little(head + 16, 4);
  const uint64_t end = kRecordHeadBytes + list + payload;
  if (decoded > kLinkBytesMax || end + kRecordCheckBytes > bytes.length - at) return false;
  if (Little(head + end, kRecordCheckBytes) != xxhash::Hash64(head, static_cast<size_t>(end))) return false;
  link->codec = head[5];
  link->depth = head[6];
  link->decoded = static_cast<uint32_t>(decoded);
  link->context_list = {head + kRecordHeadBytes, static_cast<size_t>(list)};
  link->payload = {head + kRecordHeadBytes + list, static_cast<size_t>(payload)};
  return true;
}

bool ReadContext(ByteSpan list, const uint8_t** digest, uint64_t* length) {
  Reader reader(list.data, list.length);
  uint64_t blobs = 0;
  uint64_t extents = 0;
  uint64_t blob = 0;
  uint64_t offset = 0;
  if (!reader.Varint(&blobs) || blobs != 1) return false;
  *digest = reader.Take(kDigestBytes);
  if (*digest == nullptr || !reader.Varint(&extents) || extents != 1) return false;
  if (!reader.Varint(&blob) || blob != 1 || !reader.Varint(&offset) || offset != 0) return false;
  return reader.Varint(length) && reader.left() == 0;
}

namespace {

// A whole record of this blob among the first `end` bytes, of which there are no fewer.
bool SearchRecord(ByteSpan bytes, size_t end, const uint8_t* digest, Link* link) {
  size_t from = 0;
  for (int place = 0; place < kPlacesMax && from < end; ++place) {
    const void* at = memmem(bytes.data + from, end - from, digest, kDigestBytes);
    if (at == nullptr) return false;
    const size_t found = static_cast<size_t>(static_cast<const uint8_t*>(at) - bytes.data);
    if (found >= kRecordDigestAt && ReadRecord({bytes.data, end}, found - kRecordDigestAt, digest, link)) return true;
    from = found + 1;
  }
  return false;
}

}  // namespace

bool FindChain(ByteSpan bytes, size_t record, const uint8_t* digest, std::vector<Link>* links) {
  links->clear();
  Link link;
  if (record > bytes.length || !ReadRecord(bytes, bytes.length - record, digest, &link)) return false;
  if (link.context_list.length + link.payload.length + kRecordMinBytes != record) return false;
  links->push_back(link);
  while (link.context_list.length > 0) {
    uint64_t length = 0;
    const size_t before = static_cast<size_t>(link.context_list.data - bytes.data) - kRecordHeadBytes;
    const uint8_t depth = link.depth;
    if (!ReadContext(link.context_list, &digest, &length) || !SearchRecord(bytes, before, digest, &link)) return false;
    // Each stands before what names it, so that this ends.
    if (link.depth >= depth || link.decoded != length) return false;
    links->push_back(link);
  }
  return true;
}

}  // namespace dk::chain
