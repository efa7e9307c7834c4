#include "sparse/sparse.h"

#include <algorithm>
#include <cstring>

#include "blake3/blake3_face.h"
#include "common/copy_bytes.h"
#include "common/varint.h"
#include "sparse/sparse_forms.h"
#include "sparse/sparse_runs.h"
#include "sparse/sparse_scan.h"

namespace dk::sparse {
namespace {

constexpr size_t kGroup = blake3::kGroupBytes;
static_assert(kGroup == RunScan::kCompareMax && kGroup == xxhash::kStripedBytes, "a group is compared at once");
// One turn of the comparison, after which `stop` is asked.
constexpr size_t kStep = 64 * kGroup;
// With more runs than one per so many bytes, runs that are close together become one.
constexpr size_t kDenseBytes = 8;
constexpr size_t kDenseGap = 8;

// Ends with kDeclined when `changed` says more than is allowed; `*dense` is set, and the work ended, when there are too
// many runs.
template <typename List, typename Changed>
Status FindRuns(ByteSpan source, ByteSpan target, const Options& options, List* list, GroupDigest* digest,
                const Changed& changed, size_t dense_runs, bool* dense) {
  *dense = false;
  for (size_t start = 0; start < target.length; start += kGroup) {
    if (start % kStep == 0 && options.stop && options.stop()) return Status::kCancelled;
    const size_t length = std::min(kGroup, target.length - start);
    const size_t index = start / kGroup;
    GroupSums sums;
    const bool differs =
        CompareGroup(list, source, target, start, length, digest && digest->TakesSums(index) ? &sums : nullptr);
    if (sums.made)
      digest->TakeSums(sums.lanes, index);
    else if (digest)
      digest->Take(target.data + start, index, !differs);
    if (changed() > options.changed_max) return Status::kDeclined;
    if (list->count() > dense_runs) {
      *dense = true;
      return Status::kOk;
    }
  }
  return Status::kOk;
}

Status Put(Places* places, Values* values, std::vector<uint8_t>* payload) {
  payload->clear();
  PutVarint(payload, values->count());
  if (values->count() == 0) return Status::kOk;
  uint8_t flags = 0;
  ByteSpan positions, bytes;
  Status status = places->Finish(&flags, &positions);
  if (status == Status::kOk) status = values->Finish(&flags, &bytes);
  if (status != Status::kOk) return status;
  payload->reserve(32 + positions.length + bytes.length);
  payload->push_back(flags);
  PutVarint(payload, positions.length);
  payload->insert(payload->end(), positions.data, positions.data + positions.length);
  payload->insert(payload->end(), bytes.data, bytes.data + bytes.length);
  return Status::kOk;
}

// Runs that are close together as one.
Status DiffMerged(ByteSpan source, ByteSpan target, const Options& options, GroupDigest* digest,
                  std::vector<uint8_t>* payload) {
  RunList list(kDenseGap, options.simd);
  bool dense = false;
  const auto changed = [&] { return list.changed(); };
  const Status status = FindRuns(source, target, options, &list, digest, changed, ~size_t{0}, &dense);
  if (status != Status::kOk) return status;
  Places places(options);
  HandOver(list.runs(), 0, list.count(), &places);
  Values values(source, target, options);
  values.TakeRuns(list.runs(), list.changed());
  return Put(&places, &values, payload);
}

}  // namespace

Status Diff(ByteSpan source, ByteSpan target, const Options& options, std::vector<uint8_t>* payload,
            ByteSpan source_groups, Digested* digested) {
  GroupDigest digest(digested ? digested->kind : DigestKind::kBlake3, digested ? target.length : 0, source.length,
                     source_groups);
  GroupDigest* const wanted = digested ? &digest : nullptr;
  Places places(options);
  Values values(source, target, options);
  RunScan scan(options.simd, &values, &places);
  bool dense = false;
  const size_t dense_runs = std::max<size_t>(1024, target.length / kDenseBytes);
  const auto changed = [&] { return values.count(); };
  Status status = FindRuns(source, target, options, &scan, wanted, changed, dense_runs, &dense);
  if (status != Status::kOk) return status;
  if (dense) {
    status = DiffMerged(source, target, options, wanted, payload);
  } else {
    scan.Finish();
    status = Put(&places, &values, payload);
  }
  if (status == Status::kOk && digested) digest.Finish(target.data, digested);
  return status;
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
