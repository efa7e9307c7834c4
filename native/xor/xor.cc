#include "xor/xor.h"

#include <algorithm>
#include <cstring>

#include "common/varint.h"
#include "xor/xor_scan.h"

namespace dk::xordelta {
namespace {

// Two varints cost about this much less than a run of its own saves.
constexpr size_t kGapMin = 8;

struct Run {
  size_t start;
  size_t length;
};

// Length of the run that starts at a differing byte: up to the last difference before kGapMin equal bytes.
// `zero_source` compares with zeros.
template <bool zero_source>
size_t RunLength(const uint8_t* source, const uint8_t* target, size_t length) {
  size_t end = 1;
  size_t i = 1;
  for (; i + 8 <= length; i += 8) {
    uint64_t word;
    memcpy(&word, target + i, 8);
    if (!zero_source) {
      uint64_t other;
      memcpy(&other, source + i, 8);
      word ^= other;
    }
    if (word == 0) {
      if (i + 8 - end >= kGapMin) return end;
      continue;
    }
    const size_t first = i + static_cast<size_t>(__builtin_ctzll(word)) / 8;
    if (first - end >= kGapMin) return end;
    end = i + 8 - static_cast<size_t>(__builtin_clzll(word)) / 8;
  }
  for (; i < length; ++i) {
    if (target[i] == (zero_source ? 0 : source[i])) continue;
    if (i - end >= kGapMin) return end;
    end = i + 1;
  }
  return end;
}

template <bool zero_source>
void FindRuns(const uint8_t* source, const uint8_t* target, size_t base, size_t length, std::vector<Run>* runs) {
  size_t i = 0;
  while (i < length) {
    i += zero_source ? ZeroPrefix(target + i, length - i) : EqualPrefix(source + i, target + i, length - i);
    if (i == length) return;
    const size_t run = RunLength<zero_source>(zero_source ? nullptr : source + i, target + i, length - i);
    const size_t start = base + i;
    // Only the seam at the source's end can bring two runs close together.
    if (!runs->empty() && start - (runs->back().start + runs->back().length) < kGapMin) {
      runs->back().length = start + run - runs->back().start;
    } else {
      runs->push_back({start, run});
    }
    i += run;
  }
}

void XorInto(uint8_t* out, const uint8_t* a, const uint8_t* b, size_t length) {
  for (size_t i = 0; i < length; ++i) out[i] = a[i] ^ b[i];
}

std::vector<uint8_t> Content(zstd::Span source, zstd::Span target, const std::vector<Run>& runs) {
  std::vector<uint8_t> content;
  size_t bytes = 0;
  for (const Run& run : runs) bytes += run.length;
  content.reserve(bytes + 4 * runs.size() + 16);
  PutVarint(&content, runs.size());
  size_t end = 0;
  for (const Run& run : runs) {
    PutVarint(&content, run.start - end);
    PutVarint(&content, run.length);
    end = run.start + run.length;
  }
  size_t at = content.size();
  content.resize(at + bytes);
  for (const Run& run : runs) {
    const size_t common = run.start < source.length ? std::min(run.length, source.length - run.start) : 0;
    XorInto(content.data() + at, target.data + run.start, source.data + run.start, common);
    if (run.length > common) {
      memcpy(content.data() + at + common, target.data + run.start + common, run.length - common);
    }
    at += run.length;
  }
  return content;
}

// Applies the runs to a target that already holds the source.
Status ApplyRuns(Reader reader, uint8_t* target, size_t target_length) {
  uint64_t count;
  // Two bytes at least per run: a count beyond that is a lie.
  if (!reader.Varint(&count) || count > reader.left() / 2) return Status::kCorrupt;
  // First pass: find where the bytes start, with every bound checked.
  Reader ahead = reader;
  uint64_t position = 0;
  uint64_t total = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t skip, length;
    if (!ahead.Varint(&skip) || !ahead.Varint(&length) || length == 0) return Status::kCorrupt;
    if (skip > target_length - position) return Status::kCorrupt;
    position += skip;
    if (length > target_length - position) return Status::kCorrupt;
    position += length;
    total += length;
  }
  if (ahead.left() != total) return Status::kCorrupt;
  uint8_t* at = target;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t skip = 0, length = 0;
    reader.Varint(&skip);
    reader.Varint(&length);
    at += skip;
    XorInto(at, at, ahead.Take(length), length);
    at += length;
  }
  return Status::kOk;
}

}  // namespace

Status Diff(zstd::Span source, zstd::Span target, int level, std::vector<uint8_t>* payload,
            const std::function<bool()>& stop) {
  const size_t common = std::min(source.length, target.length);
  std::vector<Run> runs;
  FindRuns<false>(source.data, target.data, 0, common, &runs);
  FindRuns<true>(nullptr, target.data + common, common, target.length - common, &runs);
  const std::vector<uint8_t> content = Content(source, target, runs);
  payload->resize(zstd::Bound(content.size()));
  size_t written = 0;
  zstd::Settings settings;
  settings.level = level;
  settings.stop = stop;
  const Status status =
      zstd::Compress({content.data(), content.size()}, settings, payload->data(), payload->size(), &written);
  payload->resize(written);
  return status;
}

bool SharesOffsets(zstd::Span source, zstd::Span target) {
  constexpr size_t kStep = 64;
  const size_t common = std::min(source.length, target.length);
  for (size_t i = 0; i + 8 <= common; i += kStep) {
    if (memcmp(source.data + i, target.data + i, 8) == 0) return true;
  }
  return common < kStep;
}

Status Patch(zstd::Span source, zstd::Span payload, uint8_t* target, size_t target_length) {
  uint64_t length;
  if (!zstd::ContentSize(payload, &length)) return Status::kCorrupt;
  if (length < 1 || length > 2 * static_cast<uint64_t>(target_length) + 64) return Status::kCorrupt;
  std::vector<uint8_t> content(length);
  const Status status = zstd::Decompress(payload, {}, {}, content.data(), content.size());
  if (status != Status::kOk) return status;
  const size_t common = std::min(source.length, target_length);
  if (common > 0) memcpy(target, source.data, common);
  if (target_length > common) memset(target + common, 0, target_length - common);
  return ApplyRuns(Reader(content.data(), content.size()), target, target_length);
}

}  // namespace dk::xordelta
