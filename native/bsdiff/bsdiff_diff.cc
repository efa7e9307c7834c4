// Cuts source and target into the parts that are matched apart, and writes what comes of it.
#include <algorithm>
#include <atomic>

#include "bsdiff/bsdiff.h"
#include "bsdiff/bsdiff_file.h"
#include "bsdiff/bsdiff_match.h"
#include "bsdiff/suffix_array.h"
#include "bzip2/bzip2_face.h"
#include "common/thread_pool.h"

namespace dk::bsdiff {
namespace {

// Target bytes matched by one thread at a time. Fixed, so that the delta is the same on every machine.
constexpr size_t kRangeBytes = size_t{2} << 20;

// bsdiff has 8. A triple costs more than that, and executables come out up to 3 % smaller with 12; short files
// differ, and there every one is tried.
constexpr size_t kAdvantage = 12;
constexpr size_t kAdvantagesTried[] = {8, 12, 16};
constexpr size_t kShortBytes = size_t{1} << 20;

// A copy that goes on where the one before it ends, in both files, is one with it: ranges end anywhere.
void Append(const std::vector<Copy>& from, size_t source_offset, std::vector<Copy>* to) {
  for (Copy copy : from) {
    copy.source += source_offset;
    if (!to->empty()) {
      Copy& last = to->back();
      if (last.target + last.length == copy.target && last.source + last.length == copy.source) {
        last.length += copy.length;
        continue;
      }
    }
    to->push_back(copy);
  }
}

// Matches target bytes `begin` to `end` against one window of the source.
Status MatchWindow(const Search& search, size_t window_start, ByteSpan target, size_t begin, size_t end,
                   size_t advantage, const std::function<bool()>& stop, std::vector<Copy>* copies) {
  const size_t count = (end - begin + kRangeBytes - 1) / kRangeBytes;
  std::vector<std::vector<Copy>> parts(count);
  std::atomic<bool> stopped{false};
  ParallelFor(count, [&](size_t i) {
    if (stopped || (stop && stop())) {
      stopped = true;
      return;
    }
    const size_t from = begin + i * kRangeBytes;
    MatchRange(search, target, from, std::min(from + kRangeBytes, end), advantage, &parts[i]);
  });
  if (stopped) return Status::kCancelled;
  for (const std::vector<Copy>& part : parts) Append(part, window_start, copies);
  return Status::kOk;
}

// A source beyond the window: each part of the target has the window around the same share of the source.
Status MatchInWindows(ByteSpan source, ByteSpan target, size_t window, const std::function<bool()>& stop,
                      std::vector<Copy>* copies) {
  const size_t parts = (source.length + window / 2 - 1) / (window / 2);
  const size_t part_bytes = target.length / parts + 1;
  for (size_t begin = 0; begin < target.length; begin += part_bytes) {
    const size_t end = std::min(begin + part_bytes, target.length);
    const double share = static_cast<double>(begin + (end - begin) / 2) / static_cast<double>(target.length);
    const size_t middle = static_cast<size_t>(share * static_cast<double>(source.length));
    const size_t start = std::min(middle > window / 2 ? middle - window / 2 : 0, source.length - window);
    if (stop && stop()) return Status::kCancelled;
    const Search search({source.data + start, window});
    const Status status = MatchWindow(search, start, target, begin, end, kAdvantage, stop, copies);
    if (status != Status::kOk) return status;
  }
  return Status::kOk;
}

struct Streams {
  std::vector<uint8_t> control, differences, extra;
};

void PutTriple(size_t add, size_t copy, int64_t seek, std::vector<uint8_t>* control) {
  uint8_t triple[kTripleBytes];
  PutNumber(triple, static_cast<int64_t>(add));
  PutNumber(triple + kNumberBytes, static_cast<int64_t>(copy));
  PutNumber(triple + 2 * kNumberBytes, seek);
  control->insert(control->end(), triple, triple + kTripleBytes);
}

Streams MakeStreams(ByteSpan source, ByteSpan target, const std::vector<Copy>& copies) {
  Streams streams;
  size_t added = 0;
  for (const Copy& copy : copies) added += copy.length;
  streams.differences.resize(added);
  streams.extra.reserve(target.length - added);
  streams.control.reserve((copies.size() + 1) * kTripleBytes);
  uint8_t* out = streams.differences.data();
  size_t at = 0, position = 0;
  // Each triple ends where the next copy begins; one without a copy comes first unless both files begin with one.
  for (size_t i = 0; i <= copies.size(); ++i) {
    const size_t length = i == 0 ? 0 : copies[i - 1].length;
    const size_t next_target = i < copies.size() ? copies[i].target : target.length;
    const size_t next_source = i < copies.size() ? copies[i].source : position + length;
    const size_t gap = next_target - at - length;
    for (size_t k = 0; k < length; ++k) *out++ = static_cast<uint8_t>(target.data[at + k] - source.data[position + k]);
    streams.extra.insert(streams.extra.end(), target.data + at + length, target.data + next_target);
    const int64_t seek = static_cast<int64_t>(next_source) - static_cast<int64_t>(position + length);
    if (length > 0 || gap > 0 || seek != 0) PutTriple(length, gap, seek, &streams.control);
    at = next_target;
    position = next_source;
  }
  return streams;
}

Status Encode(ByteSpan source, ByteSpan target, const std::vector<Copy>& copies, const std::function<bool()>& stop,
              std::vector<uint8_t>* delta) {
  Streams streams = MakeStreams(source, target, copies);
  delta->assign(kHeaderBytes, 0);
  memcpy(delta->data(), kMagic, kNumberBytes);
  PutNumber(delta->data() + 3 * kNumberBytes, static_cast<int64_t>(target.length));
  size_t header = kNumberBytes;
  for (std::vector<uint8_t>* stream : {&streams.control, &streams.differences, &streams.extra}) {
    std::vector<uint8_t> coded;
    const Status status = bzip2::Compress(stream->data(), stream->size(), stop, &coded);
    if (status != Status::kOk) return status;
    std::vector<uint8_t>().swap(*stream);
    delta->insert(delta->end(), coded.begin(), coded.end());
    // The third stream has no length: it ends with the file.
    if (header < 3 * kNumberBytes) PutNumber(delta->data() + header, static_cast<int64_t>(coded.size()));
    header += kNumberBytes;
  }
  return Status::kOk;
}

Status DiffShort(ByteSpan source, ByteSpan target, const Settings& settings, std::vector<uint8_t>* delta) {
  const Search search(source);
  for (const size_t advantage : kAdvantagesTried) {
    std::vector<Copy> copies;
    std::vector<uint8_t> tried;
    Status status = MatchWindow(search, 0, target, 0, target.length, advantage, settings.stop, &copies);
    if (status == Status::kOk) status = Encode(source, target, copies, settings.stop, &tried);
    if (status != Status::kOk) return status;
    if (delta->empty() || tried.size() < delta->size()) delta->swap(tried);
  }
  return Status::kOk;
}

}  // namespace

Status Diff(ByteSpan source, ByteSpan target, const Settings& settings, std::vector<uint8_t>* delta) {
  const size_t window = std::min(std::max<size_t>(settings.window_bytes, 2), kSortBytesMax);
  delta->clear();
  if (source.length == 0 || target.length == 0) return Encode(source, target, {}, settings.stop, delta);
  if (source.length <= window && source.length + target.length <= kShortBytes) {
    return DiffShort(source, target, settings, delta);
  }
  std::vector<Copy> copies;
  Status status;
  if (source.length <= window) {
    const Search search(source);
    status = MatchWindow(search, 0, target, 0, target.length, kAdvantage, settings.stop, &copies);
  } else {
    status = MatchInWindows(source, target, window, settings.stop, &copies);
  }
  if (status != Status::kOk) return status;
  return Encode(source, target, copies, settings.stop, delta);
}

}  // namespace dk::bsdiff
