#include "sparse/sparse.h"

#include <algorithm>
#include <cstring>

#include "blake3/blake3_face.h"
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

size_t ValueCount(size_t length) { return length == 0 ? 0 : (length - 1) / kGroup; }

// Collects chaining values of the target while the groups go by.
class GroupDigest {
 public:
  GroupDigest(ByteSpan target, ByteSpan source, ByteSpan source_groups)
      : target_(target), values_(ValueCount(target.length) * 32) {
    if (source_groups.length == ValueCount(source.length) * 32) known_ = source_groups;
  }

  // Group `index` of the target, which is full and not the last.
  void Take(size_t index, bool same) {
    uint8_t* value = values_.data() + index * 32;
    if (same && (index + 1) * 32 <= known_.length)
      memcpy(value, known_.data + index * 32, 32);
    else
      blake3::GroupValue(target_.data + index * kGroup, index, value);
  }

  void Finish(Digested* out) {
    const size_t count = values_.size() / 32;
    const size_t start = count * kGroup;
    blake3::RootFromGroups(values_.data(), count, target_.data + start, target_.length - start, out->digest);
    out->groups = std::move(values_);
  }

 private:
  const ByteSpan target_;
  ByteSpan known_;
  Groups values_;
};

// False when `stop` said so. `*dense` is set, and the work ended, when there are too many runs.
bool FindRuns(ByteSpan source, ByteSpan target, const Options& options, RunList* list, GroupDigest* digest,
              size_t dense_runs, bool* dense) {
  *dense = false;
  for (size_t start = 0; start < target.length; start += kGroup) {
    if (start % kStep == 0 && options.stop && options.stop()) return false;
    const size_t length = std::min(kGroup, target.length - start);
    const size_t common = start < source.length ? std::min(length, source.length - start) : 0;
    bool changed = common > 0 && list->Compare(source.data + start, target.data + start, start, common, options.simd);
    if (common < length) {
      list->Compare(nullptr, target.data + start + common, start + common, length - common, options.simd);
      changed = true;
    }
    if (digest && length == kGroup && start + kGroup < target.length) digest->Take(start / kGroup, !changed);
    if (list->count() > dense_runs) {
      *dense = true;
      return true;
    }
  }
  return true;
}

// The first `most` changed bytes, as XOR with the source or as they are.
void GatherValues(ByteSpan source, ByteSpan target, const std::vector<Run>& runs, size_t most, bool plain,
                  std::vector<uint8_t>* values) {
  values->resize(most);
  uint8_t* out = values->data();
  const uint8_t* const end = out + most;
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

Status Frame(const std::vector<uint8_t>& content, const Options& options, int level, std::vector<uint8_t>* frame) {
  frame->resize(zstd::Bound(content.size()));
  zstd::Settings settings;
  settings.level = level;
  settings.stop = options.stop;
  size_t written = 0;
  const Status status =
      zstd::Compress({content.data(), content.size()}, settings, frame->data(), frame->size(), &written);
  frame->resize(written);
  return status;
}

// The first `most` runs.
void PlainPositions(const std::vector<Run>& runs, size_t most, std::vector<uint8_t>* out) {
  for (const Run& run : runs) {
    for (uint32_t turn = 0; turn < run.count; ++turn, --most) {
      if (most == 0) return;
      PutVarint(out, run.skip);
      PutVarint(out, run.length);
    }
  }
}

// Positions in the form that is smaller for a sample of the runs: bits, or a frame that sees patterns.
Status Positions(const RunList& list, const Options& options, uint8_t* flags, std::vector<uint8_t>* out) {
  const std::vector<Run>& runs = list.runs();
  const size_t sample = std::min(list.count(), kSampleRuns);
  std::vector<uint8_t> plain, frame;
  WritePositions(runs, sample, out);
  PlainPositions(runs, sample, &plain);
  Status status = Frame(plain, options, 1, &frame);
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
  return Frame(plain, options, options.level, out);
}

// Values in the form that is smaller for a sample of them.
Status Values(ByteSpan source, ByteSpan target, const RunList& list, const Options& options, uint8_t* flags,
              std::vector<uint8_t>* out) {
  std::vector<uint8_t> values, frame, other;
  const size_t sample = std::min(list.changed(), kSampleValues);
  GatherValues(source, target, list.runs(), sample, false, &values);
  Status status = Frame(values, options, 1, &frame);
  if (status != Status::kOk) return status;
  GatherValues(source, target, list.runs(), sample, true, &other);
  std::vector<uint8_t> plain_frame;
  status = Frame(other, options, 1, &plain_frame);
  if (status != Status::kOk) return status;
  const bool plain = plain_frame.size() < frame.size();
  if (plain) *flags |= kPlainValues;
  const bool frames_pay = std::min(plain_frame.size(), frame.size()) < sample;
  GatherValues(source, target, list.runs(), list.changed(), plain, &values);
  if (!frames_pay && LooksIncompressible(values.data(), values.size())) {
    *out = std::move(values);
    return Status::kOk;
  }
  status = Frame(values, options, options.level, out);
  if (status != Status::kOk) return status;
  if (out->size() < values.size())
    *flags |= kZstdValues;
  else
    *out = std::move(values);
  return Status::kOk;
}

}  // namespace

Status Diff(ByteSpan source, ByteSpan target, const Options& options, std::vector<uint8_t>* payload,
            ByteSpan source_groups, Digested* digested) {
  GroupDigest digest(digested ? target : ByteSpan{}, source, source_groups);
  RunList exact(1), merged(kDenseGap);
  RunList* list = &exact;
  bool dense = false;
  const size_t dense_runs = std::max<size_t>(1024, target.length / kDenseBytes);
  if (!FindRuns(source, target, options, list, digested ? &digest : nullptr, dense_runs, &dense)) {
    return Status::kCancelled;
  }
  if (dense) {
    list = &merged;
    const size_t no_limit = ~size_t{0};
    if (!FindRuns(source, target, options, list, digested ? &digest : nullptr, no_limit, &dense)) {
      return Status::kCancelled;
    }
  }
  if (digested) digest.Finish(digested);
  payload->clear();
  PutVarint(payload, list->changed());
  if (list->changed() == 0) return Status::kOk;
  uint8_t flags = 0;
  std::vector<uint8_t> positions, values;
  Status status = Positions(*list, options, &flags, &positions);
  if (status == Status::kOk) status = Values(source, target, *list, options, &flags, &values);
  if (status != Status::kOk) return status;
  payload->push_back(flags);
  PutVarint(payload, positions.size());
  payload->insert(payload->end(), positions.begin(), positions.end());
  payload->insert(payload->end(), values.begin(), values.end());
  return Status::kOk;
}

void Digest(ByteSpan data, Digested* digested) {
  GroupDigest digest(data, {}, {});
  for (size_t i = 0; i < ValueCount(data.length); ++i) digest.Take(i, false);
  digest.Finish(digested);
}

}  // namespace dk::sparse
