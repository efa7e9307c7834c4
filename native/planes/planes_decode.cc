#include <atomic>
#include <cstring>

#include "common/thread_pool.h"
#include "common/varint.h"
#include "planes/planes.h"
#include "planes/planes_format.h"
#include "planes/planes_kernels.h"
#include "zstd/zstd_face.h"

namespace dk::planes {
namespace {

// Segments whose places are known before any is decoded: enough to keep all threads busy, few enough to hold.
constexpr size_t kBatch = 64;

struct Plane {
  ByteSpan stored;
  bool frame = false;
};

struct Segment {
  size_t begin = 0;
  size_t length = 0;
  unsigned width = 0;  // 0 bytes, 1 copy
  bool from_source = false;
  uint64_t source = 0;
  Plane planes[kWidthMax];

  size_t PlaneCount() const { return width == kCopy ? 0 : width == kBytes ? 1 : width; }
  size_t PlaneLength() const { return width > 1 ? length / width : length; }
};

class Decoder {
 public:
  Decoder(ByteSpan source, ByteSpan payload, uint8_t* target, size_t length, Simd simd)
      : source_(source),
        reader_(payload.data, payload.length),
        target_(target),
        target_length_(length),
        kernels_(KernelsFor(simd)) {}

  bool Run() {
    const uint8_t* form = reader_.Take(1);
    if (form == nullptr || *form != kForm) return false;
    std::vector<Segment> batch;
    while (at_ < target_length_) {
      batch.clear();
      while (batch.size() < kBatch && at_ < target_length_) {
        batch.emplace_back();
        if (!TakeSegment(&batch.back())) return false;
      }
      std::atomic<bool> good{true};
      ParallelFor(batch.size(), [&](size_t i) {
        if (good && !Decode(batch[i])) good = false;
      });
      if (!good) return false;
    }
    return reader_.left() == 0;
  }

 private:
  bool TakeSegment(Segment* segment);
  bool Decode(const Segment& segment) const;
  ByteSpan Prefix(const Segment& segment) const;

  const ByteSpan source_;
  Reader reader_;
  uint8_t* const target_;
  const size_t target_length_;
  const Kernels& kernels_;
  size_t at_ = 0;
  uint64_t diagonal_ = 0;
};

bool Decoder::TakeSegment(Segment* segment) {
  uint64_t length = 0;
  const uint8_t* kind = nullptr;
  if (!reader_.Varint(&length) || (kind = reader_.Take(1)) == nullptr) return false;
  if (length == 0 || length > target_length_ - at_) return false;
  segment->begin = at_;
  segment->length = length;
  segment->from_source = (*kind & kFromSource) != 0;
  segment->width = *kind & ~kFromSource;
  const unsigned width = segment->width;
  if (width == kCopy ? !segment->from_source : width != kBytes && !IsWidth(width)) return false;
  if (width != kCopy && length > kSegmentBytesMax) return false;
  if (width > 1 && length % width != 0) return false;
  if (segment->from_source) {
    uint64_t change = 0;
    if (!reader_.Varint(&change) || change > kNumberMax) return false;
    // Unsigned sums wrap; what is too far off in either direction fails the comparison with the source's length.
    diagonal_ += static_cast<uint64_t>(UnZigZag(change));
    segment->source = at_ + diagonal_;
    if (segment->source > source_.length) return false;
    if (width != kBytes && length > source_.length - segment->source) return false;
  }
  for (size_t k = 0; k < segment->PlaneCount(); ++k) {
    uint64_t stored = 0;
    if (!reader_.Varint(&stored)) return false;
    Plane& plane = segment->planes[k];
    plane.frame = stored > 0;
    plane.stored.length = stored > 0 ? stored : segment->PlaneLength();
    plane.stored.data = reader_.Take(plane.stored.length);
    if (plane.stored.data == nullptr) return false;
  }
  at_ += length;
  return true;
}

// The bytes of the source that a frame of bytes may refer to.
ByteSpan Decoder::Prefix(const Segment& segment) const {
  if (!segment.from_source) return {};
  const size_t left = source_.length - segment.source;
  return {source_.data + segment.source, std::min(left, segment.length + kPrefixMargin)};
}

bool Decoder::Decode(const Segment& segment) const {
  uint8_t* to = target_ + segment.begin;
  const uint8_t* from = segment.from_source ? source_.data + segment.source : nullptr;
  if (segment.width == kCopy) {
    memcpy(to, from, segment.length);
    return true;
  }
  if (segment.width == kBytes) {
    const Plane& plane = segment.planes[0];
    if (!plane.frame) memcpy(to, plane.stored.data, segment.length);
    return !plane.frame || zstd::Decompress(plane.stored, Prefix(segment), {}, to, segment.length) == Status::kOk;
  }
  const size_t count = segment.PlaneLength();
  // Kept for the next segment of this thread, but never more than a segment of the encoder takes.
  thread_local std::vector<uint8_t> kept;
  std::vector<uint8_t> room;
  room.swap(kept);
  if (room.size() < segment.length) room.resize(segment.length);
  const uint8_t* planes[kWidthMax] = {};
  for (size_t k = 0; k < segment.width; ++k) {
    const Plane& plane = segment.planes[k];
    planes[k] = plane.frame ? room.data() + k * count : plane.stored.data;
    if (plane.frame && zstd::Decompress(plane.stored, {}, {}, room.data() + k * count, count) != Status::kOk) {
      return false;
    }
  }
  kernels_.MergeOf(segment.width)(planes, from, count, to);
  if (room.size() <= (size_t{1} << 20)) kept.swap(room);
  return true;
}

}  // namespace

Status Patch(ByteSpan source, ByteSpan payload, uint8_t* target, size_t target_length, Simd simd) {
  Decoder decoder(source, payload, target, target_length, simd);
  return decoder.Run() ? Status::kOk : Status::kCorrupt;
}

}  // namespace dk::planes
