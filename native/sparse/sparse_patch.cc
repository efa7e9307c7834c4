// Applies payloads. Nothing in them is believed: every run is checked against the target before it is written.
#include <algorithm>
#include <cstring>

#include "blake3/blake3_face.h"
#include "common/varint.h"
#include "sparse/sparse.h"
#include "sparse/sparse_positions.h"
#include "zstd/zstd_face.h"

namespace dk::sparse {
namespace {

constexpr uint8_t kPlainValues = 1;
constexpr uint8_t kZstdValues = 2;
constexpr uint8_t kZstdPositions = 4;
constexpr size_t kGroup = blake3::kGroupBytes;

// Runs as varints, from a frame.
class PlainReader {
 public:
  PlainReader(ByteSpan bytes, uint64_t changed, uint64_t target_length)
      : reader_(bytes.data, bytes.length), left_(changed), room_(target_length) {}

  bool Next(uint64_t* position, uint64_t* length) {
    uint64_t skip;
    if (left_ == 0) return false;
    good_ = reader_.Varint(&skip) && reader_.Varint(length) && *length > 0 && *length <= left_ && skip <= room_ &&
            *length <= room_ - skip;
    if (!good_) return false;
    *position = at_ + skip;
    at_ += skip + *length;
    room_ -= skip + *length;
    left_ -= *length;
    return true;
  }
  bool Done() const { return good_ && left_ == 0 && reader_.left() == 0; }

 private:
  Reader reader_;
  uint64_t left_;
  uint64_t room_;
  uint64_t at_ = 0;
  bool good_ = true;
};

template <typename Runs>
bool Apply(Runs* runs, const uint8_t* values, bool plain, uint8_t* target, std::vector<bool>* dirty) {
  uint64_t position, length, marked = ~uint64_t{0};
  while (runs->Next(&position, &length)) {
    uint8_t* at = target + position;
    if (plain)
      memcpy(at, values, length);
    else
      for (uint64_t i = 0; i < length; ++i) at[i] ^= values[i];
    values += length;
    const uint64_t last = (position + length - 1) / kGroup;
    if (last == marked) continue;
    for (uint64_t group = position / kGroup; group <= last; ++group) (*dirty)[group] = true;
    marked = last;
  }
  return runs->Done();
}

// One frame of at most `most` bytes.
Status Unframe(ByteSpan frame, uint64_t most, std::vector<uint8_t>* content) {
  uint64_t length;
  if (!zstd::ContentSize(frame, &length) || length > most) return Status::kCorrupt;
  content->resize(length);
  return zstd::Decompress(frame, {}, {}, content->data(), content->size());
}

struct Parts {
  uint64_t changed = 0;
  uint8_t flags = 0;
  ByteSpan positions;
  ByteSpan values;
};

bool Split(ByteSpan payload, size_t target_length, Parts* parts) {
  Reader reader(payload.data, payload.length);
  if (!reader.Varint(&parts->changed) || parts->changed > target_length) return false;
  if (parts->changed == 0) return reader.left() == 0;
  const uint8_t* flags = reader.Take(1);
  uint64_t length;
  if (flags == nullptr || *flags > 7 || !reader.Varint(&length)) return false;
  parts->flags = *flags;
  const uint8_t* positions = reader.Take(length);
  if (positions == nullptr) return false;
  parts->positions = {positions, static_cast<size_t>(length)};
  parts->values = {positions + length, reader.left()};
  return true;
}

Status ApplyParts(const Parts& parts, uint8_t* target, size_t target_length, std::vector<bool>* dirty) {
  std::vector<uint8_t> values, positions;
  ByteSpan raw = parts.values;
  if (parts.flags & kZstdValues) {
    const Status status = Unframe(parts.values, parts.changed, &values);
    if (status != Status::kOk) return status;
    raw = {values.data(), values.size()};
  }
  if (raw.length != parts.changed) return Status::kCorrupt;
  const bool plain = (parts.flags & kPlainValues) != 0;
  if (parts.flags & kZstdPositions) {
    // Two numbers of at most 5 bytes for at least one changed byte each.
    const Status status = Unframe(parts.positions, 10 * parts.changed, &positions);
    if (status != Status::kOk) return status;
    PlainReader runs({positions.data(), positions.size()}, parts.changed, target_length);
    return Apply(&runs, raw.data, plain, target, dirty) ? Status::kOk : Status::kCorrupt;
  }
  PositionReader runs(parts.positions, parts.changed, target_length);
  return Apply(&runs, raw.data, plain, target, dirty) ? Status::kOk : Status::kCorrupt;
}

}  // namespace

Status Patch(ByteSpan source, ByteSpan payload, uint8_t* target, size_t target_length, ByteSpan source_groups,
             Digested* digested) {
  Parts parts;
  if (!Split(payload, target_length, &parts)) return Status::kCorrupt;
  const size_t common = std::min(source.length, target_length);
  if (common > 0) memcpy(target, source.data, common);
  if (target_length > common) memset(target + common, 0, target_length - common);
  std::vector<bool> dirty(target_length / kGroup + 1);
  if (parts.changed > 0) {
    const Status status = ApplyParts(parts, target, target_length, &dirty);
    if (status != Status::kOk) return status;
  }
  if (digested == nullptr) return Status::kOk;
  const size_t count = target_length == 0 ? 0 : (target_length - 1) / kGroup;
  const size_t known = source.length == 0 ? 0 : (source.length - 1) / kGroup;
  const bool usable = source_groups.length == known * 32;
  digested->groups.resize(count * 32);
  for (size_t i = 0; i < count; ++i) {
    uint8_t* value = digested->groups.data() + i * 32;
    if (usable && i < known && !dirty[i])
      memcpy(value, source_groups.data + i * 32, 32);
    else
      blake3::GroupValue(target + i * kGroup, i, value);
  }
  blake3::RootFromGroups(digested->groups.data(), count, target + count * kGroup, target_length - count * kGroup,
                         digested->digest);
  return Status::kOk;
}

}  // namespace dk::sparse
