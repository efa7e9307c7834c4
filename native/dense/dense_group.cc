#include "dense/dense_group.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "common/little.h"
#include "xxhash/xxhash_face.h"
#include "zstd/zstd_face.h"

namespace dk::dense {
namespace {

constexpr uint32_t kMagic = 0x32474b44;  // "DKG2"
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

// Bodies that make up more than one in so many of the bytes are not kept one by one.
constexpr size_t kAllShare = 4;
// Of a group that is decoded in part, so many bytes of the first bodies are kept with what is before them: what the
// newest state needs stands there.
constexpr size_t kFirstBodiesBytes = 64 << 10;
// A number at the beginning takes no more.
constexpr size_t kNumberBytesMax = 8;

ByteSpan FrameOf(ByteSpan group) { return {group.data + kHeadBytes, group.length - kHeadBytes - kCheckBytes}; }

FoldedBytes RoomFor(size_t length) {
  // Not of the pool, which would ask for huge pages: where the host has to find them first they take five times as
  // long.
  return {std::unique_ptr<uint8_t[]>(new uint8_t[length]), length};
}

// Lack of memory is no damage.
bool IsOk(Status status) {
  if (status == Status::kMemory) throw std::bad_alloc();
  return status == Status::kOk;
}

bool Decode(ByteSpan frame, size_t length, FoldedBytes* folded) {
  *folded = RoomFor(length);
  return IsOk(zstd::Decompress(frame, {}, {}, folded->data.get(), length));
}

bool WantsAll(const std::vector<Body>& missing, size_t folded_bytes) {
  size_t wanted = 0;
  for (const Body& body : missing) wanted += body.length;
  return wanted > folded_bytes / kAllShare;
}

// Takes bodies out of the folded bytes as these come along.
class BodySink {
 public:
  BodySink(const std::vector<Body>& missing, Bodies* bodies) : missing_(missing), bodies_(bodies) {
    for (const Body& body : missing) bodies->some.emplace_back(body.record, std::vector<uint8_t>(body.length));
  }

  // False once all are there. Bytes come in order; the first are `at` behind the beginning.
  bool Take(ByteSpan bytes, size_t at) {
    const size_t end = at + bytes.length;
    for (; next_ < missing_.size(); ++next_) {
      const Body& body = missing_[next_];
      if (body.at >= end) return true;
      const size_t from = std::max(body.at, at);
      const size_t to = std::min(body.at + body.length, end);
      if (from < to) memcpy(bodies_->some[next_].second.data() + (from - body.at), bytes.data + (from - at), to - from);
      if (to < body.at + body.length) return true;
    }
    return false;
  }

 private:
  const std::vector<Body>& missing_;
  Bodies* const bodies_;
  size_t next_ = 0;
};

// Takes the folded bytes of a group as they come along: the front first, then what is wanted of the bodies.
class GroupSink {
 public:
  GroupSink(size_t length, const FoldFacts& facts, const Stretch& wanted, FoldedGroup* opened)
      : length_(length), facts_(facts), wanted_(wanted), opened_(opened) {}

  // False once there is enough, or something is wrong.
  bool Take(ByteSpan bytes) {
    const size_t at = done_;
    done_ += bytes.length;
    if (all_.length > 0) {
      memcpy(all_.data.get() + at, bytes.data, bytes.length);
      return true;
    }
    if (sink_) return sink_->Take(bytes, at);
    front_.insert(front_.end(), bytes.data, bytes.data + bytes.length);
    return TakeFront();
  }

  // What was taken goes into the group; whether that is what was wanted.
  bool Finish() {
    if (failed_ || stage_ != Stage::kBodies) return false;
    if (all_.length > 0) {
      if (done_ != length_) return false;
      opened_->Hold(std::move(all_));
    }
    opened_->Add(std::move(bodies_));
    return true;
  }

 private:
  enum class Stage { kNumber, kTable, kRows, kBodies };

  bool Fail() {
    failed_ = true;
    return false;
  }

  bool TakeFront() {
    const ByteSpan front{front_.data(), front_.size()};
    if (stage_ == Stage::kNumber) {
      if (front.length < std::min(length_, kNumberBytesMax)) return true;
      need_ = FoldedGroup::TableEnd(front, length_);
      if (need_ == 0) return Fail();
      stage_ = Stage::kTable;
    }
    if (stage_ == Stage::kTable) {
      if (front.length < need_) return true;
      if (!opened_->Open(front, length_, facts_)) return Fail();
      need_ = opened_->bodies_at();
      stage_ = Stage::kRows;
    }
    if (front.length < need_) return true;
    stage_ = Stage::kBodies;
    missing_ = opened_->Missing(wanted_);
    const bool wants_all = WantsAll(missing_, length_);
    const size_t kept = wants_all ? front.length : std::min(front.length, need_ + kFirstBodiesBytes);
    FoldedBytes held = RoomFor(wants_all ? length_ : kept);
    memcpy(held.data.get(), front.data, kept);
    if (wants_all) {
      all_ = std::move(held);
      return true;
    }
    opened_->Hold(std::move(held));
    sink_ = std::make_unique<BodySink>(missing_, &bodies_);
    return sink_->Take({front.data + need_, front.length - need_}, need_);
  }

  const size_t length_;
  const FoldFacts facts_;
  const Stretch wanted_;
  FoldedGroup* const opened_;
  Stage stage_ = Stage::kNumber;
  bool failed_ = false;
  // Folded bytes so far.
  size_t done_ = 0;
  // So many of them end the stage.
  size_t need_ = 0;
  std::vector<uint8_t> front_;
  std::vector<Body> missing_;
  std::unique_ptr<BodySink> sink_;
  Bodies bodies_;
  FoldedBytes all_;
};

}  // namespace

bool OpenGroup(ByteSpan group, const GroupPlace& place, Hash hash, const Stretch& wanted, FoldedGroup* opened) {
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
  const ByteSpan packed = FrameOf(group);
  const FoldFacts facts{records, place.bytes, hash};
  const size_t length = static_cast<size_t>(folded);
  uint64_t content = 0;
  const bool is_declared = zstd::ContentSize(packed, &content);
  // Before memory is taken for it.
  if (is_declared && content != length) return false;
  if (is_declared && wanted.length < place.bytes / kAllShare) {
    GroupSink sink(length, facts, wanted, opened);
    const Status status = zstd::Stream(packed, length, [&](ByteSpan bytes) { return sink.Take(bytes); });
    return IsOk(status) && sink.Finish();
  }
  FoldedBytes all;
  if (!Decode(packed, length, &all) || !opened->Open({all.data.get(), length}, length, facts)) return false;
  opened->Hold(std::move(all));
  return true;
}

bool DecodeBodies(ByteSpan group, size_t folded_bytes, const std::vector<Body>& missing, Bodies* bodies) {
  if (WantsAll(missing, folded_bytes)) return DecodeAll(group, folded_bytes, bodies);
  BodySink sink(missing, bodies);
  size_t at = 0;
  return IsOk(zstd::Stream(FrameOf(group), folded_bytes, [&](ByteSpan bytes) {
    const size_t from = at;
    at += bytes.length;
    return sink.Take(bytes, from);
  }));
}

bool DecodeAll(ByteSpan group, size_t folded_bytes, Bodies* bodies) {
  return Decode(FrameOf(group), folded_bytes, &bodies->all);
}

}  // namespace dk::dense
