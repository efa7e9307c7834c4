// Two passes over the target.
//
// The first follows one diagonal as far as it goes, at the speed of memory. Where it is lost it looks a little ahead
// on the same diagonal, then for the lost bytes in a small index of the source around the place (an insertion or a
// removal), then far ahead on the same diagonal. What it finds is mostly right; short finds in a neighbourhood that
// is mostly unmatched are coincidences, which would break up real matches, and are dropped.
//
// The second pass fills the gaps with the help of an index of the whole source: fine where the source has not been
// matched yet, coarse where it has, since what was matched rarely occurs again. An index costs more than everything
// else, so it is made only when the gaps are worth it.
#include "align/align_match.h"

#include "align/align_matcher.h"

namespace dk::align {
namespace {

constexpr size_t kLocalBack = 4096;
constexpr size_t kLocalAhead = 12288;
constexpr size_t kLocalTarget = 8192;
constexpr size_t kLocalStep = 16;
// How far on the same diagonal is looked before a longer insertion or removal is thought of; how much of one side is
// indexed for it, how far the other is searched, at first and at most; how many equal bytes are no coincidence.
constexpr size_t kFarReach = 64 << 10;
constexpr size_t kWideIndexed = 16 << 10;
constexpr size_t kWideFirst = 64 << 10;
constexpr size_t kWideMost = 1 << 20;
constexpr size_t kWideEqual = 512;
// This share of all bytes may be searched for them: where there are many, an index of the whole source costs less.
constexpr size_t kWideShare = 32;
constexpr size_t kBucketBytes = 64 << 10;
constexpr size_t kSureBytes = 2048;
constexpr size_t kCompareBytes = 4096;
// A diagonal this far from the last one costs longer numbers and is more often chance.
constexpr ptrdiff_t kFarBytes = 64 << 10;
// So many of the first bytes of a match must differ from the one before.
constexpr size_t kChangesMin = 12;
constexpr size_t kJudgedBytes = 256;
// Of so many bytes on the same diagonal so many must be equal where no whole block is.
constexpr size_t kJudgedBlock = 64;
constexpr int kAlikeMin = 40;

// Calls `attempt(hash, place)` for the places in [begin, end) whose hash the index may have, until one is taken.
template <typename Attempt>
bool ScanFor(const BlockIndex& index, zstd::Span bytes, size_t begin, size_t end, Attempt attempt) {
  const size_t window = index.window();
  for (size_t i = begin; i + window <= end; ++i) {
    while (i + window + BlockIndex::kScan <= end && index.HasMask(bytes.data + i) == 0) i += BlockIndex::kScan;
    if (i + window > end) return false;
    const uint64_t hash = HashBytes(bytes.data + i, window);
    if (index.Has(hash) && attempt(hash, i)) return true;
  }
  return false;
}

}  // namespace

void Matcher::Push(Copy copy) {
  end_ = copy.target + copy.length;
  diagonal_ = DiagonalOf(copy);
  if (!copies_.empty()) {
    Copy& last = copies_.back();
    if (last.target + last.length == copy.target && last.source + last.length == copy.source) {
      last.length += copy.length;
      return;
    }
  }
  copies_.push_back(copy);
}

// A new match begins right behind a copy and would go on backwards: the differing bytes at the copy's end go over.
void Matcher::YieldTail(size_t target, size_t source) {
  if (copies_.empty() || target != end_) return;
  Copy& last = copies_.back();
  if (last.target + last.length != end_) return;
  const size_t limit = std::min({last.length - 1, source, kNearBytes});
  const size_t run = kernels_.equal_run_back(target_.data + target, source_.data + source, limit);
  size_t give = 0;
  for (size_t back = 1; back <= run; ++back) {
    const size_t at = last.length - back;
    if (target_.data[last.target + at] != source_.data[last.source + at]) give = back;
  }
  if (give == 0) return;
  last.length -= give;
  while (last.length > 1 &&
         target_.data[last.target + last.length - 1] != source_.data[last.source + last.length - 1]) {
    --last.length;
  }
  end_ = last.target + last.length;
}

// Bytes behind a match that should join it.
size_t Matcher::Ahead(size_t target, size_t source, size_t limit) {
  found_.clear();
  const size_t length = ExtendForward(kernels_, target_.data + target, source_.data + source, limit, &found_);
  for (const Stretch& stretch : found_) poor_.push_back({target + stretch.begin, target + stretch.end});
  return length;
}

// Bytes in front of a match that should join it.
size_t Matcher::Behind(size_t target, size_t source, size_t limit) {
  found_.clear();
  const size_t length = ExtendBack(kernels_, target_.data + target, source_.data + source, limit, &found_);
  for (const Stretch& stretch : found_) poor_.push_back({target - stretch.end, target - stretch.begin});
  return length;
}

// Makes a copy of an equal place, grown in both directions between the last copy and `limit`.
void Matcher::Take(size_t target, size_t source, size_t limit) {
  const size_t back_limit = std::min(target - end_, source);
  size_t back = kernels_.equal_run_back(target_.data + target, source_.data + source, back_limit);
  back += Behind(target - back, source - back, back_limit - back);
  if (back == target - end_) {
    YieldTail(target - back, source - back);
    back = std::min(target - end_, source);
    back = kernels_.equal_run_back(target_.data + target, source_.data + source, back);
    back += Behind(target - back, source - back, std::min(target - end_, source) - back);
  }
  const size_t ahead_limit = std::min(limit - target, source_.length - source);
  size_t ahead = kernels_.equal_run(target_.data + target, source_.data + source, ahead_limit);
  ahead += Ahead(target + ahead, source + ahead, ahead_limit - ahead);
  Push({target - back, source - back, back + ahead});
}

// Takes what is mostly equal on the current diagonal without a whole equal block, such as a table of moved addresses.
bool Matcher::TakeAlike(size_t at, size_t limit) {
  const size_t from = at + static_cast<size_t>(diagonal_);
  const uint8_t* a = target_.data + at;
  const uint8_t* b = source_.data + from;
  if (__builtin_popcountll(kernels_.equal_mask(a, b)) < kAlikeMin) return false;
  const size_t length = Ahead(at, from, Room(at, limit));
  if (length < kJudgedBlock) return false;
  Push({at, from, length});
  return true;
}

// Takes the first equal block on the current diagonal within `reach`, or an equal end of one side.
bool Matcher::TakeNear(size_t at, size_t reach, size_t limit) {
  const size_t room = Room(at, limit);
  if (room == 0) return false;
  const size_t from = at + static_cast<size_t>(diagonal_);
  const size_t length = std::min(room, reach);
  const size_t skip = kernels_.equal_block(target_.data + at, source_.data + from, length);
  if (skip < length) {
    Take(at + skip, from + skip, limit);
    return true;
  }
  if (room >= kJudgedBlock && TakeAlike(at, limit)) return true;
  if (room >= kBlockBytes || kernels_.equal_run(target_.data + at, source_.data + from, room) != room) return false;
  Take(at, from, limit);
  return true;
}

// Whether equal bytes say enough about where they come from: runs of one byte compress by themselves.
bool Matcher::SaysEnough(size_t at, size_t length) const {
  const uint8_t* bytes = target_.data + at;
  const size_t end = std::min(length, kJudgedBytes);
  size_t changes = 0;
  for (size_t i = 1; i < end && changes < kChangesMin; ++i) changes += bytes[i] != bytes[i - 1];
  return changes >= kChangesMin;
}

// Takes the longest of the places that the index names, if that is worth its numbers.
bool Matcher::TakeBest(const BlockIndex& index, uint64_t hash, size_t at, size_t limit) {
  if (IsUniform(target_.data + at, index.window())) return false;
  size_t best = 0;
  size_t best_ahead = 0;
  size_t best_source = 0;
  index.Find(hash, [&](size_t from) {
    const size_t ahead_limit = std::min({limit - at, source_.length - from, kCompareBytes});
    const size_t ahead = kernels_.equal_run(target_.data + at, source_.data + from, ahead_limit);
    if (ahead < index.window()) return;
    const size_t back_limit = std::min({at - end_, from, kCompareBytes});
    const size_t total = ahead + kernels_.equal_run_back(target_.data + at, source_.data + from, back_limit);
    const ptrdiff_t away = static_cast<ptrdiff_t>(from) - static_cast<ptrdiff_t>(at) - diagonal_;
    const bool far = away > kFarBytes || away < -kFarBytes;
    if (total < (far ? settings_.far_length_min : settings_.length_min) || total <= best) return;
    best = total;
    best_ahead = ahead;
    best_source = from;
  });
  if (best == 0 || !SaysEnough(at, best_ahead)) return false;
  Take(at, best_source, limit);
  return true;
}

// Looks for the bytes after `at` in the source around the place where they should be.
bool Matcher::Resync(size_t at) {
  if (resync_bytes_ > (source_.length + target_.length) / 8) return false;
  resync_bytes_ += kLocalBack + kLocalAhead;
  const size_t window = settings_.window;
  const size_t expected = std::min(end_ + static_cast<size_t>(diagonal_), source_.length);
  const size_t begin = expected > kLocalBack ? expected - kLocalBack : 0;
  const size_t end = std::min(source_.length, expected + kLocalAhead);
  BlockIndex index(window, kLocalStep, (kLocalBack + kLocalAhead) / kLocalStep, settings_.ways);
  if (!index.good()) return false;
  index.AddRange(source_.data, begin, end, kLocalStep);
  const size_t stop = std::min(target_.length, at + kLocalTarget);
  return ScanFor(index, target_, at, stop,
                 [&](uint64_t hash, size_t i) { return TakeBest(index, hash, i, target_.length); });
}

bool Matcher::TakeLong(size_t target, size_t source) {
  const size_t room = std::min({target_.length - target, source_.length - source, kWideEqual});
  if (room < kWideEqual || kernels_.equal_run(target_.data + target, source_.data + source, room) < room) return false;
  if (!SaysEnough(target, room)) return false;
  Take(target, source, target_.length);
  return true;
}

// Looks for a longer insertion (the source's next bytes, further on in the target) and a longer removal (the other way
// round), ever further.
bool Matcher::ResyncWide(size_t at) {
  const size_t wide_max = (source_.length + target_.length) / kWideShare;
  if (wide_bytes_ + 2 * kWideFirst > wide_max) return false;
  const size_t expected = std::min(end_ + static_cast<size_t>(diagonal_), source_.length);
  BlockIndex of_source(settings_.window, kLocalStep, kWideIndexed / kLocalStep, settings_.ways);
  BlockIndex of_target(settings_.window, kLocalStep, kWideIndexed / kLocalStep, settings_.ways);
  if (!of_source.good() || !of_target.good()) return false;
  of_source.AddRange(source_.data, expected, std::min(source_.length, expected + kWideIndexed), kLocalStep);
  of_target.AddRange(target_.data, at, std::min(target_.length, at + kWideIndexed), kLocalStep);
  bool taken = false;
  const auto inserted = [&](uint64_t hash, size_t i) {
    of_source.Find(hash, [&](size_t from) { taken = taken || TakeLong(i, from); });
    return taken;
  };
  const auto removed = [&](uint64_t hash, size_t from) {
    of_target.Find(hash, [&](size_t i) { taken = taken || TakeLong(i, from); });
    return taken;
  };
  for (size_t begin = 0, reach = kWideFirst; reach <= kWideMost; begin = reach, reach *= 4) {
    const size_t cost = 2 * (reach - begin);
    if (wide_bytes_ + cost > wide_max) return false;
    wide_bytes_ += cost;
    if (ScanFor(of_source, target_, at + begin, std::min(target_.length, at + reach), inserted) ||
        ScanFor(of_target, source_, expected + begin, std::min(source_.length, expected + reach), removed)) {
      return true;
    }
  }
  return false;
}

void Matcher::Walk() {
  size_t at = 0;
  while (at < target_.length && !Stopped(kNearBytes)) {
    const bool found = TakeNear(at, kNearBytes, target_.length) || Resync(at) ||
                       TakeNear(at, kFarReach, target_.length) || ResyncWide(at) ||
                       TakeNear(at, target_.length, target_.length);
    if (!found) break;
    Stopped(end_ - at);
    at = end_;
  }
}

void Matcher::DropCoincidences() {
  std::vector<uint32_t> covered(target_.length / kBucketBytes + 1);
  for (const Copy& copy : copies_) {
    for (size_t at = copy.target; at < copy.target + copy.length;) {
      const size_t next = std::min(copy.target + copy.length, (at / kBucketBytes + 1) * kBucketBytes);
      covered[at / kBucketBytes] += static_cast<uint32_t>(next - at);
      at = next;
    }
  }
  const auto coincidence = [&](const Copy& copy) {
    return copy.length < kSureBytes && covered[copy.target / kBucketBytes] < kBucketBytes / 2;
  };
  copies_.erase(std::remove_if(copies_.begin(), copies_.end(), coincidence), copies_.end());
}

Status FindCopies(zstd::Span source, zstd::Span target, const MatchSettings& settings, const Kernels& kernels,
                  const std::function<bool()>& stop, std::vector<Copy>* copies) {
  copies->clear();
  if (source.length == 0 || target.length == 0) return Status::kOk;
  return Matcher(source, target, settings, kernels, stop).Run(copies);
}

}  // namespace dk::align
