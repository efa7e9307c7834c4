#include "window/window_scan.h"

#include <algorithm>
#include <cstring>

#include "window/rolling_hash.h"
#include "window/source_index_each.h"

namespace dk::window {
namespace {

constexpr uint64_t kBlockBytes = 4096;
// What stands between two finds, or beside one, resembles its neighbourhood in the source: this far.
constexpr uint64_t kGapBytesMax = 1 << 20;
// Bytes that may only resemble the target speak less for a range than equal ones.
constexpr uint64_t kGapShare = 16;
constexpr uint64_t kStopEvery = 1 << 20;

}  // namespace

std::vector<Wish> WindowScan::Run() {
  const ByteSpan target = window_.target;
  const ByteSpan other = window_.in_place;
  const auto equal_block = [&](uint64_t begin, uint64_t end) {
    return end <= other.length && memcmp(target.data + begin, other.data + begin, end - begin) == 0;
  };
  for (uint64_t begin = 0; begin < target.length;) {
    uint64_t end = begin;
    const auto next = [&] { return std::min<uint64_t>(end + kBlockBytes, target.length); };
    while (end < target.length && equal_block(end, next())) end = next();
    if (end > begin) {
      found_.push_back({begin, end, 0, true});
    } else {
      while (end < target.length && !equal_block(end, next())) end = next();
      Stretch(begin, end);
    }
    begin = end;
  }
  std::vector<Wish> wishes;
  Wanted(&wishes);
  return wishes;
}

bool WindowScan::Lookup(SourceIndex::Hash hash, uint64_t at, int64_t* distance) const {
  const int64_t here = static_cast<int64_t>(window_.target_offset + at);
  bool any = false;
  int64_t chosen = 0;
  index_.Each(hash, [&](uint64_t position) {
    const int64_t candidate = static_cast<int64_t>(position) - here;
    const bool follows = !found_.empty() && candidate == found_.back().distance;
    if (!any || follows) chosen = candidate;
    any = true;
  });
  *distance = chosen;
  return any;
}

bool WindowScan::Continues(uint64_t at, int64_t distance) const {
  const RollingHash hash(window_.target.data + at);
  bool equal = false;
  const int64_t wanted = static_cast<int64_t>(window_.target_offset + at) + distance;
  index_.Each(SourceIndex::Mix(hash.first(), hash.second()),
              [&](uint64_t position) { equal = equal || static_cast<int64_t>(position) == wanted; });
  return equal;
}

// Looks at every place of [begin, end); a find is followed from sample to sample.
void WindowScan::Stretch(uint64_t begin, uint64_t end) {
  const uint8_t* data = window_.target.data;
  // Samples may begin in the stretch and end behind it.
  const uint64_t limit = std::min<uint64_t>(end + kSampleBytes, window_.target.length);
  if (limit - begin < kSampleBytes) return;
  RollingHash hash(data + begin);
  const uint64_t step = index_.step();
  for (uint64_t at = begin; at < end;) {
    int64_t distance = 0;
    if (Lookup(SourceIndex::Mix(hash.first(), hash.second()), at, &distance)) {
      uint64_t last = at;
      while (last + step + kSampleBytes <= limit && Continues(last + step, distance)) last += step;
      found_.push_back({at, last + kSampleBytes, distance, last > at});
      at = last + kSampleBytes;
      if (at + kSampleBytes > limit) return;
      hash.Restart(data + at);
      continue;
    }
    if (at + kSampleBytes >= limit) return;
    hash.Roll(data + at);
    ++at;
    if (at % kStopEvery == 0 && window_.stop && window_.stop()) return;
  }
}

void WindowScan::Wanted(std::vector<Wish>* wishes) const {
  const Found* before = nullptr;
  uint64_t done = 0;
  const int64_t step = static_cast<int64_t>(index_.step());
  for (const Found& found : found_) {
    const int64_t source = static_cast<int64_t>(window_.target_offset + found.begin) + found.distance;
    const int64_t length = static_cast<int64_t>(found.end - found.begin);
    // The match begins and ends somewhere between its samples and the next ones.
    const int64_t room = found.distance == 0 ? 0 : step;
    wishes->push_back({source - room, source + length + room, found.end - found.begin});
    if (!found.sure) continue;
    if (found.begin > done) Gap(done, found.begin, before, &found, wishes);
    done = std::max(done, found.end);
    before = &found;
  }
  if (done < window_.target.length) Gap(done, window_.target.length, before, nullptr, wishes);
}

void WindowScan::Gap(uint64_t begin, uint64_t end, const Found* before, const Found* after,
                     std::vector<Wish>* wishes) const {
  const int64_t offset = static_cast<int64_t>(window_.target_offset);
  const auto wish = [&](uint64_t from, uint64_t to, int64_t distance) {
    const int64_t shift = offset + distance;
    wishes->push_back({static_cast<int64_t>(from) + shift, static_cast<int64_t>(to) + shift, (to - from) / kGapShare});
  };
  const uint64_t reach = std::min(end - begin, kGapBytesMax);
  if (before == nullptr && after == nullptr) return wish(begin, end, 0);
  if (before != nullptr) wish(begin, begin + reach, before->distance);
  if (after != nullptr && (before == nullptr || after->distance != before->distance || reach < end - begin)) {
    wish(end - reach, end, after->distance);
  }
}

}  // namespace dk::window
