// Applies payloads. Nothing in them is believed: every run is checked against the target before it is written.
#include <algorithm>
#include <cstring>

#include "blake3/blake3_face.h"
#include "common/copy_bytes.h"
#include "common/memory_pool.h"
#include "common/varint.h"
#include "sparse/sparse.h"
#include "sparse/sparse_apply.h"
#include "sparse/sparse_positions.h"
#include "zstd/zstd_face.h"

namespace dk::sparse {
namespace {

constexpr uint8_t kPlainValues = 1;
constexpr uint8_t kZstdValues = 2;
constexpr uint8_t kZstdPositions = 4;
constexpr size_t kGroup = blake3::kGroupBytes;
// Fewer bytes at even distances may as well be changed one by one.
constexpr uint64_t kEvenLeast = 128;

// Makes the target group by group, so that each is copied, changed and hashed while it is in the cache.
template <typename Runs>
class GroupPatch {
 public:
  GroupPatch(Runs* runs, const uint8_t* values, bool plain, Simd simd)
      : runs_(runs), values_(values), plain_(plain), copy_even_(CopyEvenFor(simd)) {}

  // Copies the source's bytes from `start` to `end` into the target. What comes next is applied on the way when it is
  // single bytes at even distances. Whether it was.
  bool CopyTo(const uint8_t* source, uint64_t start, uint64_t end, uint8_t* target) {
    const bool any = now_.count > 0 || runs_->Next(&now_);
    if (!any || now_.length > 1 || now_.count < kEvenLeast || now_.position >= end) {
      CopyBytes(target + start, source + start, end - start);
      return false;
    }
    const uint64_t first = now_.position - start;
    const uint64_t count = Taken(end);
    copy_even_(source + start, end - start, {first, now_.skip + 1, count, values_, plain_}, target + start);
    Pass(count);
    return true;
  }

  // Applies what lies before `end` of the target; all up to there holds the source already. Whether there was anything.
  // Meanwhile the source of the group behind is fetched.
  bool ApplyTo(uint64_t end, uint8_t* target, const uint8_t* source) {
    bool any = false;
    const uintptr_t ahead = reinterpret_cast<uintptr_t>(source) + kGroup;
    for (;;) {
      if (now_.count == 0) {
        const size_t points = runs_->ApplyPoints(values_, plain_, end, target, ahead);
        values_ += points;
        any = any || points > 0;
        if (!runs_->Next(&now_)) return any;
      }
      if (now_.position >= end) return any;
      any = true;
      if (now_.length == 1)
        Points(end, target);
      else
        One(end, target);
    }
  }

 private:
  // Of the single bytes that come next: how many lie before the end, which the first one does.
  uint64_t Taken(uint64_t end) const {
    const uint64_t stride = now_.skip + 1;
    return now_.count == 1 ? 1 : std::min(now_.count, (end - now_.position + stride - 1) / stride);
  }

  void Pass(uint64_t count) {
    values_ += count;
    now_.count -= count;
    now_.position += count * (now_.skip + 1);
  }

  // Single bytes, as many as lie before the end.
  void Points(uint64_t end, uint8_t* target) {
    const uint64_t stride = now_.skip + 1;
    const uint64_t count = Taken(end);
    uint8_t* at = target + now_.position;
    if (plain_) {
      for (uint64_t i = 0; i < count; ++i, at += stride) *at = values_[i];
    } else {
      for (uint64_t i = 0; i < count; ++i, at += stride) *at ^= values_[i];
    }
    Pass(count);
  }

  // One run, or its part before the end.
  void One(uint64_t end, uint8_t* target) {
    const uint64_t length = std::min(now_.length - done_, end - now_.position);
    uint8_t* at = target + now_.position;
    if (plain_)
      memcpy(at, values_, length);
    else
      for (uint64_t i = 0; i < length; ++i) at[i] ^= values_[i];
    values_ += length;
    now_.position += length;
    done_ += length;
    if (done_ < now_.length) return;
    done_ = 0;
    --now_.count;
    now_.position += now_.skip;
  }

  Runs* const runs_;
  const uint8_t* values_;
  const bool plain_;
  const CopyEven copy_even_;
  Stretch now_{};
  uint64_t done_ = 0;  // of the run that has begun
};

// One frame of at most `most` bytes.
Status Unframe(ByteSpan frame, uint64_t most, ScratchBytes* content) {
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

// Source and group values in, target and its group values out.
struct Work {
  ByteSpan source;
  ByteSpan source_groups;
  uint8_t* target;
  size_t target_length;
  Digested* digested;
  Simd simd;
};

template <typename Runs>
Status Make(const Work& work, Runs* runs, const uint8_t* values, bool plain) {
  GroupPatch<Runs> patch(runs, values, plain, work.simd);
  const DigestKind kind = work.digested ? work.digested->kind : DigestKind::kBlake3;
  GroupDigest digest(kind, work.digested ? work.target_length : 0, work.source.length, work.source_groups);
  for (size_t start = 0; start < work.target_length; start += kGroup) {
    const size_t length = std::min(kGroup, work.target_length - start);
    const size_t common = start < work.source.length ? std::min(length, work.source.length - start) : 0;
    uint8_t* const at = work.target + start;
    bool changed = common < length;
    if (common > 0) changed = patch.CopyTo(work.source.data, start, start + common, work.target) || changed;
    if (common < length) memset(at + common, 0, length - common);
    changed = patch.ApplyTo(start + length, work.target, work.source.data) || changed;
    if (work.digested) digest.Take(at, start / kGroup, !changed);
  }
  if (!runs->Done()) return Status::kCorrupt;
  if (work.digested) digest.Finish(work.target, work.digested);
  return Status::kOk;
}

}  // namespace

Status Patch(ByteSpan source, ByteSpan payload, uint8_t* target, size_t target_length, ByteSpan source_groups,
             Digested* digested, size_t changed_max, Simd simd) {
  Parts parts;
  if (!Split(payload, target_length, &parts)) return Status::kCorrupt;
  if (parts.changed > changed_max) return Status::kDeclined;
  const Work work = {source, source_groups, target, target_length, digested, simd};
  ScratchBytes values, positions;
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
    return Make(work, &runs, raw.data, plain);
  }
  PositionReader runs(parts.positions, parts.changed, target_length);
  return Make(work, &runs, raw.data, plain);
}

}  // namespace dk::sparse
