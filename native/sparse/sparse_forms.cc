#include "sparse/sparse_forms.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "zstd/entropy.h"
#include "zstd/zstd_face.h"

namespace dk::sparse {
namespace {

// Runs and values that are looked at to choose a form.
constexpr size_t kSampleRuns = 4096;
constexpr size_t kSampleValues = 64 << 10;
// Of so many values or more, those of one piece in kPieceShare are looked at as they are, before anything is coded.
constexpr size_t kManyValues = 4096;
constexpr size_t kPieceShare = 4;
constexpr size_t kPiece = 8 << 10;
// A frame of values that is not worth a second look, and positions that no frame can be shorter than.
constexpr size_t kFrameLeast = 24;
constexpr size_t kPositionsLeast = 11;
// With fewer runs a frame is tried without a look at them.
constexpr size_t kPatternRuns = 512;
constexpr size_t kGroup = RunScan::kCompareMax;

Status Frame(const ScratchBytes& content, size_t length, const Options& options, int level, ScratchBytes* frame) {
  frame->resize(zstd::Bound(length));
  zstd::Settings settings;
  settings.level = level;
  settings.stop = options.stop;
  size_t written = 0;
  const Status status = zstd::Compress({content.data(), length}, settings, frame->data(), frame->size(), &written);
  frame->resize(written);
  return status;
}

uint8_t* PutNumber(uint8_t* at, uint64_t value) {
  for (; value > 127; value >>= 7) *at++ = static_cast<uint8_t>(value | 128);
  *at++ = static_cast<uint8_t>(value);
  return at;
}

// Appends a pair of varints so many times.
void PutPairs(uint32_t skip, uint32_t extra, size_t turns, ScratchBytes* out, size_t* used) {
  uint8_t numbers[20];
  const size_t pair = static_cast<size_t>(PutNumber(PutNumber(numbers, skip), uint64_t{extra} + 1) - numbers);
  const size_t room = *used + turns * pair;
  if (out->size() < room) out->resize(std::max(room, 2 * out->size()));
  uint8_t* const from = out->data() + *used;
  for (size_t i = 0; i < pair; ++i) from[i] = numbers[i];
  // What is there is doubled until it is all.
  for (size_t made = pair; made < turns * pair;) {
    const size_t more = std::min(made, turns * pair - made);
    memcpy(from + made, from, more);
    made += more;
  }
  *used = room;
}

// Whether a frame of such runs must be longer than `most_bytes`: it has no shorter codes for what is skipped, and few
// of the runs come again in the order in which they came before.
bool HoldsNoPattern(const std::vector<Run>& runs, size_t most_bytes) {
  constexpr size_t kKinds = 1024, kInRow = 4, kShare = 8;
  const size_t count = std::min(runs.size(), kSampleRuns);
  if (count < kPatternRuns) return false;
  uint16_t kinds[kKinds] = {};
  for (size_t i = 0; i < count; ++i) ++kinds[runs[i].skip % kKinds];
  uint64_t squares = 0;
  for (const uint32_t kind : kinds) squares += uint64_t{kind} * kind;
  // Collision entropy, of which there is never more than of the other. The lengths in between cost a bit at least, and
  // so does telling them from what is skipped.
  const double all = static_cast<double>(count);
  const double bits = std::log2(all * all / static_cast<double>(squares)) + 2;
  if (bits * all < 8 * static_cast<double>(most_bytes)) return false;
  // Some runs are samples, chosen by themselves: after the same ones the same come again.
  uint16_t samples[kSampleRuns], seen[kSampleRuns] = {};
  size_t chosen = 0;
  for (size_t i = 0; i + kInRow <= count; ++i) {
    samples[chosen] = static_cast<uint16_t>(i);
    chosen += (runs[i].skip * 0x9e3779b1u) >> 30 == 0;
  }
  size_t again = 0;
  for (size_t i = 0; i < chosen; ++i) {
    const Run* const at = runs.data() + samples[i];
    const uint64_t mixed = (at[0].skip * 0x9e3779b97f4a7c15u + at[1].skip) * 0xc2b2ae3d27d4eb4fu +
                           at[2].skip * 0x165667b19e3779f9u + at[3].skip;
    uint16_t& place = seen[mixed * 0x9e3779b97f4a7c15u >> 52];
    const Run* const before = runs.data() + (place > 0 ? place - 1 : samples[i]);
    bool same = place > 0;
    for (size_t j = 0; j < kInRow; ++j) same = same && before[j].skip == at[j].skip;
    again += same;
    place = static_cast<uint16_t>(samples[i] + 1);
  }
  return chosen * 2 * kShare >= count && again * kShare <= chosen;
}

bool IsOneByte(const uint8_t* bytes, size_t count) { return memcmp(bytes, bytes + 1, count - 1) == 0; }

// Values as they are, up to a number of them.
class PlainTaker : public ValueTaker {
 public:
  PlainTaker(const MaskKernels& kernels, ScratchBytes* bytes) : kernels_(kernels), bytes_(bytes) {}

  void Take(const uint8_t* source, const uint8_t* target, size_t, size_t blocks, uint64_t* masks, GroupSums*) override {
    const size_t room = count_ + (blocks + 1) * kBlock;
    if (bytes_->size() < room) bytes_->resize(std::max(2 * bytes_->size(), room));
    count_ += kernels_.take(source, target, blocks, true, masks, bytes_->data() + count_);
  }
  size_t count() const { return count_; }

 private:
  const MaskKernels& kernels_;
  ScratchBytes* const bytes_;
  size_t count_ = 0;
};

}  // namespace

void HandOver(RunSpan runs, size_t from, size_t end, RunTaker* taker) {
  constexpr size_t kSome = 1024;
  uint32_t skips[kSome], extras[kSome];
  size_t some = 0;
  size_t at = 0;
  for (const Run& run : runs) {
    if (at >= end) break;
    const size_t first = std::max(at, from);
    const size_t last = std::min<size_t>(at + run.count, end);
    at += run.count;
    if (first >= last) continue;
    const bool alone = last - first == 1;
    if (some == kSome || (!alone && some > 0)) {
      taker->Singles(skips, extras, some);
      some = 0;
    }
    if (alone) {
      skips[some] = run.skip;
      extras[some++] = run.length - 1;
    } else {
      taker->Equal(run.skip, run.length - 1, last - first);
    }
  }
  if (some > 0) taker->Singles(skips, extras, some);
}

void Places::Singles(const uint32_t* skips, const uint32_t* extras, size_t count) {
  if (form_ == Form::kBits) return bits_.Singles(skips, extras, count);
  if (form_ == Form::kFrame) {
    for (size_t i = 0; i < count; ++i) PutPairs(skips[i], extras[i], 1, &pairs_, &pairs_used_);
    return;
  }
  const size_t before = head_.size();
  head_.resize(before + count);
  Run* const runs = head_.data() + before;
  for (size_t i = 0; i < count; ++i) runs[i] = {skips[i], extras[i] + 1, 1};
  count_ += count;
  if (count_ >= kSampleRuns) Decide();
}

void Places::Equal(uint32_t skip, uint32_t extra, size_t count) {
  if (form_ == Form::kBits) return bits_.Equal(skip, extra, count);
  if (form_ == Form::kFrame) return PutPairs(skip, extra, count, &pairs_, &pairs_used_);
  head_.push_back({skip, extra + 1, static_cast<uint32_t>(count)});
  count_ += count;
  if (count_ >= kSampleRuns) Decide();
}

void Places::Decide() {
  const size_t sample = std::min(count_, kSampleRuns);
  HandOver(head(), 0, sample, &bits_);
  const size_t size = bits_.SizeSoFar();
  form_ = Form::kBits;
  // A frame has to be shorter by a ninth.
  if (size > kPositionsLeast && !HoldsNoPattern(head_, size - size / 9)) TryFrame(sample, size);
  if (form_ == Form::kBits) HandOver(head(), sample, count_, &bits_);
}

void Places::TryFrame(size_t sample, size_t bits_size) {
  size_t left = sample, bytes = 0;
  for (const Run& run : head_) {
    const size_t turns = std::min<size_t>(run.count, left);
    const size_t before = pairs_used_;
    if (turns > 0) PutPairs(run.skip, run.length - 1, turns, &pairs_, &pairs_used_);
    bytes += pairs_used_ - before;
    if (run.count > turns) PutPairs(run.skip, run.length - 1, run.count - turns, &pairs_, &pairs_used_);
    left -= turns;
  }
  status_ = Frame(pairs_, bytes, options_, 1, &frame_);
  if (frame_.size() + frame_.size() / 8 < bits_size) form_ = Form::kFrame;
}

Status Places::Finish(uint8_t* flags, ByteSpan* out) {
  if (form_ == Form::kOpen) Decide();
  if (status_ != Status::kOk) return status_;
  if (form_ == Form::kBits) {
    const ScratchBytes& bits = *bits_.Finish();
    *out = {bits.data(), bits.size()};
    return Status::kOk;
  }
  *flags |= kZstdPositions;
  const Status status = Frame(pairs_, pairs_used_, options_, options_.level, &frame_);
  *out = {frame_.data(), frame_.size()};
  return status;
}

void Values::Take(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks, uint64_t* masks,
                  GroupSums* sums) {
  if (!decided_ && count_ >= kSampleValues) {
    Decide(base);
    Expect(base);
  }
  const size_t room = count_ + (blocks + 1) * kBlock;
  if (bytes_.size() < room) bytes_.resize(std::max(2 * bytes_.size(), room));
  uint8_t* const out = bytes_.data() + count_;
  if (sums == nullptr || take_summed_ == nullptr) {
    count_ += kernels_.take(source, target, blocks, plain_, masks, out);
    return;
  }
  std::copy_n(xxhash::kStripedStart, xxhash::kStripeLanes, sums->lanes);
  count_ += take_summed_(source, target, plain_, masks, out, sums->lanes);
  sums->made = true;
}

void Values::TakeRuns(RunSpan runs, size_t changed) {
  merged_ = runs;
  count_ = changed;
  Gather(runs, count_, false, &bytes_);
}

// Room for what is to come, if changes go on being as many as they were before this place.
void Values::Expect(size_t base) {
  if (base == 0) return;
  const double all = static_cast<double>(count_) / static_cast<double>(base) * static_cast<double>(target_.length);
  const size_t room = std::min(target_.length, static_cast<size_t>(all)) + kGroup + kBlock;
  if (bytes_.size() < room) bytes_.resize(room);
}

Status Values::Finish(uint8_t* flags, ByteSpan* out) {
  Decide(target_.length);
  if (status_ != Status::kOk) return status_;
  if (plain_) *flags |= kPlainValues;
  *out = {bytes_.data(), count_};
  if (one_byte_ && IsOneByte(bytes_.data(), count_) && count_ > zstd::RepeatRoom(count_)) {
    frame_.resize(zstd::RepeatRoom(count_));
    *flags |= kZstdValues;
    *out = {frame_.data(), zstd::CompressRepeat(bytes_[0], count_, frame_.data())};
    return Status::kOk;
  }
  if (!frames_pay_ && LooksIncompressible(out->data, out->length)) return Status::kOk;
  const Status status = Frame(bytes_, count_, options_, options_.level, &frame_);
  if (status != Status::kOk || frame_.size() >= count_) return status;
  *flags |= kZstdValues;
  *out = {frame_.data(), frame_.size()};
  return Status::kOk;
}

// Whether neither form has anything that coding could find, of the first values before `end` of the target.
bool Values::IsNoise(size_t sample, size_t end) const {
  if (!LooksLikeNoise(bytes_.data(), sample)) return false;
  ScratchBytes plain;
  // Pieces from all over: what comes again far behind is seen as well.
  const size_t few = TakePlain(end, count_ < kManyValues ? 1 : kPieceShare, sample, &plain);
  return LooksLikeNoise(plain.data(), few);
}

// What was taken up to `end` of the target is in the other form afterwards, if that is the better one.
void Values::Decide(size_t end) {
  if (decided_) return;
  decided_ = true;
  const size_t sample = std::min(count_, kSampleValues);
  one_byte_ = IsOneByte(bytes_.data(), sample);
  frames_pay_ = one_byte_;
  // Nothing could be smaller, or nothing would make it so.
  if (one_byte_ || IsNoise(sample, end)) return;
  status_ = Frame(bytes_, sample, options_, 1, &frame_);
  const size_t size = frame_.size();
  frames_pay_ = size < sample;
  // Nothing could be much smaller.
  if (status_ != Status::kOk || size <= kFrameLeast) return;
  ScratchBytes plain;
  TakePlain(end, 1, sample, &plain);
  status_ = Frame(plain, sample, options_, 1, &frame_);
  frames_pay_ = frames_pay_ || frame_.size() < sample;
  plain_ = frame_.size() < size;
  if (plain_) TakePlain(end, 1, count_, &bytes_);
}

// Values of what was taken up to `end` of the target, of one piece in so many, until there are `least`. Returns how
// many.
size_t Values::TakePlain(size_t end, size_t every, size_t least, ScratchBytes* bytes) const {
  if (merged_.size > 0) {
    Gather(merged_, least, true, bytes);
    return least;
  }
  PlainTaker taker(kernels_, bytes);
  RunScan scan(options_.simd, &taker, nullptr);
  for (size_t start = 0; start < end && taker.count() < least; start += every * kPiece) {
    CompareGroup(&scan, source_, target_, start, std::min(kPiece, end - start), nullptr);
  }
  return taker.count();
}

// The first `count` bytes of the runs, where they lie.
void Values::Gather(RunSpan runs, size_t count, bool plain, ScratchBytes* bytes) const {
  if (bytes->size() < count) bytes->resize(count);
  uint8_t* out = bytes->data();
  const uint8_t* const end = out + count;
  size_t position = 0;
  for (const Run& run : runs) {
    if (run.count == 1 && run.length == 1 && plain && out != end) {
      // Nearly all of those that are looked at both ways.
      position += run.skip;
      *out++ = target_.data[position++];
      continue;
    }
    for (uint32_t turn = 0; turn < run.count; ++turn) {
      if (out == end) return;
      position += run.skip;
      const size_t length = std::min<size_t>(run.length, static_cast<size_t>(end - out));
      const size_t common = plain || position >= source_.length ? 0 : std::min(length, source_.length - position);
      // Most runs are a byte or a few: no calls for them.
      for (size_t i = 0; i < common; ++i) out[i] = target_.data[position + i] ^ source_.data[position + i];
      for (size_t i = common; i < length; ++i) out[i] = target_.data[position + i];
      out += length;
      position += run.length;
    }
  }
}

}  // namespace dk::sparse
