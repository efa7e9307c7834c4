#include <algorithm>
#include <cstring>

#include "common/huge_pages.h"
#include "common/thread_pool.h"
#include "common/varint.h"
#include "planes/planes.h"
#include "planes/planes_coder.h"
#include "planes/planes_format.h"
#include "planes/planes_kernels.h"

namespace dk::planes {
namespace {

using Bytes = std::vector<uint8_t>;

// Elements of a segment: planes of one block of zstd each, small enough for the second cache.
constexpr size_t kElements = size_t{128} << 10;
// Segments coded side by side before the next are looked at; their memory is used again.
constexpr size_t kBatch = 16;
// What decides between difference and no difference: pieces spread over the segment.
constexpr size_t kSamplePieces = 16;
constexpr size_t kSampleElements = 256;

struct Unit {
  size_t begin = 0;
  size_t length = 0;
  unsigned width = 0;  // 0 bytes
  uint64_t source = Region::kNoSource;
};

struct Coded {
  uint8_t kind = kBytes;
  Bytes body;
  Status status = Status::kOk;
};

bool Valid(const std::vector<Region>& regions, size_t target_length) {
  uint64_t end = 0;
  for (const Region& region : regions) {
    if (!IsWidth(region.width) || region.begin < end || region.begin > target_length) return false;
    if (region.length > target_length - region.begin) return false;
    end = region.begin + region.length;
  }
  return true;
}

// Cuts regions, and what lies between them, into segments.
class Cutter {
 public:
  Cutter(size_t source_length, size_t target_length) : source_length_(source_length), target_length_(target_length) {}

  std::vector<Unit> Cut(const std::vector<Region>& regions) {
    for (const Region& region : regions) {
      Gap(region.begin);
      Elements(region);
    }
    Gap(target_length_);
    return std::move(units_);
  }

 private:
  // Bytes up to `end`; they resemble what follows the place in the source that was used last.
  void Gap(size_t end) {
    while (at_ < end) {
      const size_t length = std::min(kSegmentBytesMax, end - at_);
      const uint64_t source = at_ + diagonal_;
      units_.push_back({at_, length, kBytes, source < source_length_ ? source : Region::kNoSource});
      at_ += length;
    }
  }

  void Elements(const Region& region) {
    const size_t width = region.width;
    const size_t end = region.begin + region.length / width * width;
    const bool has_source = region.source <= source_length_;
    const size_t common =
        has_source ? std::min<uint64_t>(end - at_, source_length_ - region.source) / width * width : 0;
    if (has_source) diagonal_ = region.source - region.begin;
    const size_t common_end = at_ + common;
    while (at_ < end) {
      const bool from_source = at_ < common_end;
      const size_t length = std::min(kElements * width, (from_source ? common_end : end) - at_);
      units_.push_back({at_, length, region.width, from_source ? at_ + diagonal_ : Region::kNoSource});
      at_ += length;
    }
  }

  const size_t source_length_;
  const size_t target_length_;
  size_t at_ = 0;
  uint64_t diagonal_ = 0;
  std::vector<Unit> units_;
};

class Encoder {
 public:
  Encoder(ByteSpan source, ByteSpan target, const Options& options)
      : source_(source), target_(target), options_(options), kernels_(KernelsFor(options.simd)) {}

  Status Run(const std::vector<Unit>& units, Bytes* payload) {
    payload->assign(1, kForm);
    ReserveHuge(payload, target_.length + target_.length / 64);
    std::vector<Coded> batch(std::min(kBatch, units.size()));
    for (size_t first = 0; first < units.size(); first += kBatch) {
      if (options_.stop && options_.stop()) return Status::kCancelled;
      const size_t count = std::min(kBatch, units.size() - first);
      ParallelFor(count, [&](size_t i) { batch[i].status = Encode(units[first + i], &batch[i]); });
      for (size_t i = 0; i < count; ++i) {
        if (batch[i].status != Status::kOk) return batch[i].status;
        Append(units[first + i], batch[i], payload);
      }
    }
    PutCopy(payload);
    return Status::kOk;
  }

 private:
  Status Encode(const Unit& unit, Coded* coded) const;
  Status EncodeElements(const Unit& unit, const uint8_t* from, Coded* coded) const;
  double BitsOf(const Unit& unit, const uint8_t* from) const;
  void Append(const Unit& unit, const Coded& coded, Bytes* payload);
  void PutHead(uint64_t begin, uint64_t length, uint8_t kind, uint64_t source, Bytes* payload);
  void PutCopy(Bytes* payload);

  const ByteSpan source_;
  const ByteSpan target_;
  const Options& options_;
  const Kernels& kernels_;
  uint64_t diagonal_ = 0;
  // A copy that the next segment may continue.
  Unit copy_;
};

Status Encoder::Encode(const Unit& unit, Coded* coded) const {
  coded->body.clear();
  const ByteSpan target = {target_.data + unit.begin, unit.length};
  const bool has_source = unit.source != Region::kNoSource;
  const uint8_t* from = has_source ? source_.data + unit.source : nullptr;
  const size_t left = has_source ? source_.length - unit.source : 0;
  if (has_source && unit.length <= left && memcmp(from, target.data, unit.length) == 0) {
    coded->kind = kCopy | kFromSource;
    return Status::kOk;
  }
  if (unit.width == kBytes) {
    coded->kind = has_source ? kBytes | kFromSource : kBytes;
    const size_t reach = std::min(left, unit.length + kPrefixMargin);
    return PutPlane(target, {from, reach}, options_.effort, &coded->body);
  }
  if (from == nullptr || options_.effort != Effort::kMax) {
    if (from != nullptr && BitsOf(unit, nullptr) < BitsOf(unit, from)) from = nullptr;
    return EncodeElements(unit, from, coded);
  }
  Coded plain;  // its memory ends with it: the careful effort has time
  const Status status = EncodeElements(unit, nullptr, &plain);
  if (status != Status::kOk) return status;
  const Status delta = EncodeElements(unit, from, coded);
  if (plain.body.size() < coded->body.size()) *coded = std::move(plain);
  return delta;
}

// How many bits an element takes by the frequencies of its bytes, judged by samples of the segment.
double Encoder::BitsOf(const Unit& unit, const uint8_t* from) const {
  const size_t count = unit.length / unit.width;
  const size_t piece = std::min(kSampleElements, count);
  const size_t pieces = std::min(kSamplePieces, count / piece);
  uint8_t room[kWidthMax][kSamplePieces * kSampleElements];
  for (size_t p = 0; p < pieces; ++p) {
    const size_t at = pieces == 1 ? 0 : (count - piece) * p / (pieces - 1) * unit.width;
    uint8_t* planes[kWidthMax];
    for (size_t k = 0; k < unit.width; ++k) planes[k] = room[k] + p * piece;
    const uint8_t* source = from == nullptr ? nullptr : from + at;
    kernels_.SplitOf(unit.width)(target_.data + unit.begin + at, source, piece, planes);
  }
  double bits = 0;
  for (size_t k = 0; k < unit.width; ++k) bits += LookAt({room[k], pieces * piece}).bits_per_byte;
  return bits;
}

Status Encoder::EncodeElements(const Unit& unit, const uint8_t* from, Coded* coded) const {
  coded->kind = static_cast<uint8_t>(unit.width | (from == nullptr ? 0 : kFromSource));
  const size_t count = unit.length / unit.width;
  thread_local Bytes room;
  room.resize(kElements * kWidthMax);
  uint8_t* planes[kWidthMax];
  for (size_t k = 0; k < unit.width; ++k) planes[k] = room.data() + k * count;
  kernels_.SplitOf(unit.width)(target_.data + unit.begin, from, count, planes);
  coded->body.reserve(unit.length);
  for (size_t k = 0; k < unit.width; ++k) {
    const Status status = PutPlane({planes[k], count}, {}, options_.effort, &coded->body);
    if (status != Status::kOk) return status;
  }
  return Status::kOk;
}

void Encoder::PutHead(uint64_t begin, uint64_t length, uint8_t kind, uint64_t source, Bytes* payload) {
  PutVarint(payload, length);
  payload->push_back(kind);
  if ((kind & kFromSource) == 0) return;
  const uint64_t diagonal = source - begin;
  PutVarint(payload, ZigZag(static_cast<int64_t>(diagonal - diagonal_)));
  diagonal_ = diagonal;
}

void Encoder::PutCopy(Bytes* payload) {
  if (copy_.length > 0) PutHead(copy_.begin, copy_.length, kCopy | kFromSource, copy_.source, payload);
  copy_ = {};
}

void Encoder::Append(const Unit& unit, const Coded& coded, Bytes* payload) {
  if (coded.kind == (kCopy | kFromSource)) {
    if (copy_.length > 0 && copy_.source + copy_.length != unit.source) PutCopy(payload);
    if (copy_.length == 0) copy_ = {unit.begin, 0, kBytes, unit.source};
    copy_.length += unit.length;
    return;
  }
  PutCopy(payload);
  PutHead(unit.begin, unit.length, coded.kind, unit.source, payload);
  payload->insert(payload->end(), coded.body.begin(), coded.body.end());
}

}  // namespace

Status Diff(ByteSpan source, ByteSpan target, const std::vector<Region>& regions, const Options& options,
            Bytes* payload) {
  if (!Valid(regions, target.length)) return Status::kArgument;
  const std::vector<Unit> units = Cutter(source.length, target.length).Cut(regions);
  return Encoder(source, target, options).Run(units, payload);
}

}  // namespace dk::planes
