#include "sparse/sparse.h"

#include <algorithm>
#include <cstring>

#include "blake3/blake3_face.h"
#include "common/copy_bytes.h"
#include "common/memory_pool.h"
#include "common/varint.h"
#include "sparse/sparse_positions.h"
#include "sparse/sparse_runs.h"
#include "zstd/entropy.h"
#include "zstd/zstd_face.h"

namespace dk::sparse {
namespace {

// Bits of the flags byte; stored.
constexpr uint8_t kPlainValues = 1;    // target bytes instead of source XOR target
constexpr uint8_t kZstdValues = 2;     // one frame
constexpr uint8_t kZstdPositions = 4;  // one frame of varints

constexpr size_t kGroup = blake3::kGroupBytes;
// One turn of the comparison, after which `stop` is asked.
constexpr size_t kStep = 64 * kGroup;
// With more runs than one per so many bytes, runs that are close together become one.
constexpr size_t kDenseBytes = 8;
constexpr size_t kDenseGap = 8;
// Runs and values that are looked at to choose a form.
constexpr size_t kSampleRuns = 4096;
constexpr size_t kSampleValues = 64 << 10;
// A frame of values that is not worth a second look, and positions that no frame can be shorter than.
constexpr size_t kFrameLeast = 24;
constexpr size_t kPositionsLeast = 11;

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

// The bytes that changed, as XOR with the source or as they are: as a sample of them says, which is smaller.
class Values : public ValueSink {
 public:
  Values(ByteSpan source, ByteSpan target, const Options& options)
      : source_(source), target_(target), options_(options), kernels_(MaskKernelsFor(options.simd)) {}

  // Whose bytes these are: all runs that were found so far.
  void Follow(const RunList* list) { list_ = list; }

  void Take(const uint8_t* source, const uint8_t* target, size_t blocks, uint64_t* masks) override {
    if (!decided_ && count_ >= kSampleValues) {
      Decide(kSampleValues);
      Expect(target);
    }
    const size_t room = count_ + (blocks + 1) * kBlock;
    if (bytes_.size() < room) bytes_.resize(std::max(2 * bytes_.size(), room));
    count_ += kernels_.take(source, target, blocks, plain_, masks, bytes_.data() + count_);
  }

  // Those of runs that hold bytes between changes, too; nothing was taken before.
  void TakeRuns() {
    count_ = list_->changed();
    Gather(count_, false, &bytes_);
    Decide(std::min(count_, kSampleValues));
  }

  // In the form that the sample promised, as a frame if that pays.
  Status Finish(uint8_t* flags, ScratchBytes* frame, ByteSpan* out) {
    Decide(std::min(count_, kSampleValues));
    if (status_ != Status::kOk) return status_;
    if (plain_) *flags |= kPlainValues;
    *out = {bytes_.data(), count_};
    if (!frames_pay_ && LooksIncompressible(out->data, out->length)) return Status::kOk;
    const Status status = Frame(bytes_, count_, options_, options_.level, frame);
    if (status != Status::kOk || frame->size() >= count_) return status;
    *flags |= kZstdValues;
    *out = {frame->data(), frame->size()};
    return Status::kOk;
  }

 private:
  // Room for what is to come, if changes go on being as many as they were before this place.
  void Expect(const uint8_t* target) {
    // The last bytes come from a copy.
    const uintptr_t before = reinterpret_cast<uintptr_t>(target) - reinterpret_cast<uintptr_t>(target_.data);
    if (before == 0 || before > target_.length) return;
    const double all = static_cast<double>(count_) / static_cast<double>(before) * static_cast<double>(target_.length);
    const size_t room = std::min(target_.length, static_cast<size_t>(all)) + kGroup + kBlock;
    if (bytes_.size() < room) bytes_.resize(room);
  }

  // All that was taken so far is in the other form afterwards, if that is the better one.
  void Decide(size_t sample) {
    if (decided_) return;
    decided_ = true;
    ScratchBytes frame;
    status_ = Frame(bytes_, sample, options_, 1, &frame);
    frames_pay_ = frame.size() < sample;
    // Nothing could be much smaller.
    if (status_ != Status::kOk || frame.size() <= kFrameLeast) return;
    ScratchBytes plain, plain_frame;
    Gather(sample, true, &plain);
    status_ = Frame(plain, sample, options_, 1, &plain_frame);
    frames_pay_ = frames_pay_ || plain_frame.size() < sample;
    plain_ = plain_frame.size() < frame.size();
    if (plain_) Gather(count_, true, &bytes_);
  }

  // The first `count` bytes of the runs, where they lie.
  void Gather(size_t count, bool plain, ScratchBytes* bytes) const {
    if (bytes->size() < count) bytes->resize(count);
    uint8_t* out = bytes->data();
    const uint8_t* const end = out + count;
    size_t position = 0;
    for (const Run& run : list_->runs()) {
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

  const ByteSpan source_;
  const ByteSpan target_;
  const Options& options_;
  const MaskKernels kernels_;
  const RunList* list_ = nullptr;
  ScratchBytes bytes_;
  size_t count_ = 0;
  bool decided_ = false;
  bool plain_ = false;
  bool frames_pay_ = false;
  Status status_ = Status::kOk;
};

// `*dense` is set, and the work ended, when there are too many runs.
Status FindRuns(ByteSpan source, ByteSpan target, const Options& options, RunList* list, GroupDigest* digest,
                size_t dense_runs, bool* dense) {
  *dense = false;
  for (size_t start = 0; start < target.length; start += kGroup) {
    if (start % kStep == 0 && options.stop && options.stop()) return Status::kCancelled;
    const size_t length = std::min(kGroup, target.length - start);
    const size_t common = start < source.length ? std::min(length, source.length - start) : 0;
    bool changed = common > 0 && list->Compare(source.data + start, target.data + start, start, common);
    if (common < length) {
      list->Compare(nullptr, target.data + start + common, start + common, length - common);
      changed = true;
    }
    if (digest) digest->Take(target.data + start, start / kGroup, !changed);
    if (list->changed() > options.changed_max) return Status::kDeclined;
    if (list->count() > dense_runs) {
      *dense = true;
      return Status::kOk;
    }
  }
  return Status::kOk;
}

// Positions in the form that is smaller for a sample of the runs: bits, or a frame that sees patterns.
Status Positions(const RunList& list, const Options& options, uint8_t* flags, ScratchBytes* out) {
  const RunSpan runs = list.runs();
  const size_t sample = std::min(list.count(), kSampleRuns);
  ScratchBytes plain, frame;
  const bool goes_on = WritePositions(runs, 0, sample, out);
  if (sample == list.count() && out->size() <= kPositionsLeast) return Status::kOk;
  PlainPositions(runs, sample, &plain);
  Status status = Frame(plain, plain.size(), options, 1, &frame);
  if (status != Status::kOk) return status;
  const bool patterned = frame.size() + frame.size() / 8 < out->size();
  if (!patterned) {
    if (sample < list.count()) {
      if (!goes_on) out->clear();
      WritePositions(runs, goes_on ? sample : 0, list.count(), out);
    }
    return Status::kOk;
  }
  *flags |= kZstdPositions;
  plain.clear();
  PlainPositions(runs, list.count(), &plain);
  return Frame(plain, plain.size(), options, options.level, out);
}

}  // namespace

Status Diff(ByteSpan source, ByteSpan target, const Options& options, std::vector<uint8_t>* payload,
            ByteSpan source_groups, Digested* digested) {
  GroupDigest digest(digested ? digested->kind : DigestKind::kBlake3, digested ? target.length : 0, source.length,
                     source_groups);
  GroupDigest* const wanted = digested ? &digest : nullptr;
  Values exact_values(source, target, options), merged_values(source, target, options);
  RunList exact(1, options.simd, &exact_values), merged(kDenseGap, options.simd, nullptr);
  exact_values.Follow(&exact);
  merged_values.Follow(&merged);
  bool dense = false;
  const size_t dense_runs = std::max<size_t>(1024, target.length / kDenseBytes);
  Status status = FindRuns(source, target, options, &exact, wanted, dense_runs, &dense);
  const bool merges = dense;
  const size_t no_limit = ~size_t{0};
  if (merges && status == Status::kOk) status = FindRuns(source, target, options, &merged, wanted, no_limit, &dense);
  if (status != Status::kOk) return status;
  if (digested) digest.Finish(target.data, digested);
  const RunList& list = merges ? merged : exact;
  payload->clear();
  PutVarint(payload, list.changed());
  if (list.changed() == 0) return Status::kOk;
  Values& values = merges ? merged_values : exact_values;
  if (merges) values.TakeRuns();
  uint8_t flags = 0;
  ScratchBytes positions, frame;
  ByteSpan bytes;
  status = Positions(list, options, &flags, &positions);
  if (status == Status::kOk) status = values.Finish(&flags, &frame, &bytes);
  if (status != Status::kOk) return status;
  payload->reserve(32 + positions.size() + bytes.length);
  payload->push_back(flags);
  PutVarint(payload, positions.size());
  payload->insert(payload->end(), positions.begin(), positions.end());
  payload->insert(payload->end(), bytes.data, bytes.data + bytes.length);
  return Status::kOk;
}

void Digest(ByteSpan data, Digested* digested, uint8_t* copy) {
  GroupDigest digest(digested->kind, data.length, 0, {});
  for (size_t start = 0; start < data.length; start += kGroup) {
    digest.Take(data.data + start, start / kGroup, false);
    // While it is in the cache.
    if (copy != nullptr) CopyBytes(copy + start, data.data + start, std::min(kGroup, data.length - start));
  }
  digest.Finish(data.data, digested);
}

}  // namespace dk::sparse
