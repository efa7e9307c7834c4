#include "sparse/sparse.h"

#include <algorithm>
#include <cstring>

#include "blake3/blake3_face.h"
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

// The bytes that changed, as XOR with the source or as they are: the first ones both ways, until a sample of them says
// which is smaller.
class Values : public ValueSink {
 public:
  explicit Values(const Options& options) : options_(options) {}

  void Take(const uint8_t* source, const uint8_t* target, const uint64_t* masks, size_t blocks,
            size_t changed) override {
    const MaskKernels kernels = MaskKernelsFor(options_.simd);
    for (const bool plain : {false, true}) {
      if (!Wants(plain)) continue;
      ScratchBytes& bytes = Of(plain);
      if (bytes.size() < count_ + changed + kBlock) bytes.resize(std::max(2 * bytes.size(), count_ + changed + kBlock));
      kernels.gather(source, target, masks, blocks, plain, bytes.data() + count_);
    }
    count_ += changed;
    if (count_ >= kSampleValues) Decide();
  }

  // Those of runs that hold bytes between changes, too; nothing was taken before.
  void TakeRuns(ByteSpan source, ByteSpan target, const RunList& list) {
    count_ = std::min(list.changed(), kSampleValues);
    for (const bool plain : {false, true}) Gather(source, target, list.runs(), plain);
    Decide();
    count_ = list.changed();
    Gather(source, target, list.runs(), plain_);
  }

  // In the form that the sample promised, as a frame if that pays.
  Status Finish(uint8_t* flags, ScratchBytes* frame, ByteSpan* out) {
    Decide();
    if (status_ != Status::kOk) return status_;
    if (plain_) *flags |= kPlainValues;
    const ScratchBytes& bytes = Of(plain_);
    *out = {bytes.data(), count_};
    if (!frames_pay_ && LooksIncompressible(out->data, out->length)) return Status::kOk;
    const Status status = Frame(bytes, count_, options_, options_.level, frame);
    if (status != Status::kOk || frame->size() >= count_) return status;
    *flags |= kZstdValues;
    *out = {frame->data(), frame->size()};
    return Status::kOk;
  }

 private:
  ScratchBytes& Of(bool plain) { return plain ? targets_ : differences_; }
  bool Wants(bool plain) const { return !decided_ || plain == plain_; }

  void Decide() {
    if (decided_) return;
    decided_ = true;
    const size_t sample = std::min(count_, kSampleValues);
    ScratchBytes frame, plain_frame;
    status_ = Frame(differences_, sample, options_, 1, &frame);
    if (status_ == Status::kOk) status_ = Frame(targets_, sample, options_, 1, &plain_frame);
    plain_ = plain_frame.size() < frame.size();
    frames_pay_ = std::min(plain_frame.size(), frame.size()) < sample;
  }

  // The first `count_` bytes of the runs.
  void Gather(ByteSpan source, ByteSpan target, RunSpan runs, bool plain) {
    ScratchBytes& bytes = Of(plain);
    bytes.resize(count_);
    uint8_t* out = bytes.data();
    const uint8_t* const end = out + count_;
    size_t position = 0;
    for (const Run& run : runs) {
      for (uint32_t turn = 0; turn < run.count; ++turn) {
        if (out == end) return;
        position += run.skip;
        const size_t length = std::min<size_t>(run.length, static_cast<size_t>(end - out));
        const size_t common = plain || position >= source.length ? 0 : std::min(length, source.length - position);
        // Most runs are a byte or a few: no calls for them.
        for (size_t i = 0; i < common; ++i) out[i] = target.data[position + i] ^ source.data[position + i];
        if (common < length) memcpy(out + common, target.data + position + common, length - common);
        out += length;
        position += run.length;
      }
    }
  }

  const Options& options_;
  ScratchBytes differences_, targets_;
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
  WritePositions(runs, sample, out);
  PlainPositions(runs, sample, &plain);
  Status status = Frame(plain, plain.size(), options, 1, &frame);
  if (status != Status::kOk) return status;
  const bool patterned = frame.size() + frame.size() / 8 < out->size();
  if (!patterned) {
    if (sample < list.count()) {
      out->clear();
      WritePositions(runs, list.count(), out);
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
  Values exact_values(options), merged_values(options);
  RunList exact(1, options.simd, &exact_values), merged(kDenseGap, options.simd, nullptr);
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
  if (merges) values.TakeRuns(source, target, list);
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
    if (copy != nullptr) memcpy(copy + start, data.data + start, std::min(kGroup, data.length - start));
  }
  digest.Finish(data.data, digested);
}

}  // namespace dk::sparse
