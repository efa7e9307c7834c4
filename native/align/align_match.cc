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

#include <algorithm>

#include "align/align_extend.h"
#include "align/align_improve.h"
#include "align/align_index.h"

namespace dk::align {
namespace {

constexpr size_t kNearBytes = 512;
constexpr size_t kLocalBack = 4096;
constexpr size_t kLocalAhead = 12288;
constexpr size_t kLocalTarget = 8192;
constexpr size_t kLocalStep = 16;
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
// After this many bytes without a match the search takes longer steps.
constexpr size_t kPatience = 4096;
constexpr size_t kStepMax = 15;
// A skip along a diagonal from which on the skipped bytes may hold a match of their own.
constexpr size_t kSearchedSkip = 64;
constexpr size_t kCoarseMin = 256;
constexpr size_t kGapsWorthIndex = 256;
constexpr size_t kPollBytes = 8 << 20;

class Matcher {
 public:
  Matcher(zstd::Span source, zstd::Span target, const MatchSettings& settings, const Kernels& kernels,
          const std::function<bool()>& stop)
      : source_(source), target_(target), settings_(settings), kernels_(kernels), stop_(stop) {}

  Status Run(std::vector<Copy>* copies) {
    Walk();
    if (!stopped_) DropCoincidences();
    const Status status = stopped_ ? Status::kCancelled : FillGaps();
    *copies = std::move(copies_);
    return status;
  }

 private:
  void Walk();
  bool Resync(size_t at);
  void DropCoincidences();
  Status FillGaps();
  size_t CoarseStep(size_t wanted) const;
  void AddSource(size_t fine_step, size_t coarse_step, BlockIndex* index) const;
  void ScanGap(const BlockIndex& index, size_t limit);
  bool TakeNearSearched(const BlockIndex& index, size_t limit);
  bool TakeBest(const BlockIndex& index, uint64_t hash, size_t at, size_t limit);
  bool SaysEnough(size_t at, size_t length) const;
  bool TakeAlike(size_t at, size_t limit);
  bool TakeNear(size_t at, size_t reach, size_t limit);
  void Take(size_t target, size_t source, size_t limit);
  void Push(Copy copy);
  void YieldTail(size_t target, size_t source);
  size_t Ahead(size_t target, size_t source, size_t limit);
  size_t Behind(size_t target, size_t source, size_t limit);

  // Bytes left of both sides from a target position on, along the current diagonal; 0 when it lies outside.
  size_t Room(size_t at, size_t limit) const {
    const size_t from = at + static_cast<size_t>(diagonal_);  // wraps below zero to a huge number
    return from < source_.length ? std::min(limit - at, source_.length - from) : 0;
  }

  bool Stopped(size_t bytes) {
    unpolled_ += bytes;
    if (unpolled_ < kPollBytes || stopped_) return stopped_;
    unpolled_ = 0;
    stopped_ = stop_ && stop_();
    return stopped_;
  }

  const zstd::Span source_;
  const zstd::Span target_;
  const MatchSettings& settings_;
  const Kernels& kernels_;
  const std::function<bool()>& stop_;
  std::vector<Copy> copies_;
  std::vector<Stretch> poor_;  // of the target: matched, but with many differences
  std::vector<Stretch> found_;
  size_t end_ = 0;          // of the last copy, in the target
  ptrdiff_t diagonal_ = 0;  // of the last copy: source position minus target position
  size_t resync_bytes_ = 0;
  size_t unpolled_ = 0;
  bool stopped_ = false;
};

void Matcher::Push(Copy copy) {
  end_ = copy.target + copy.length;
  diagonal_ = static_cast<ptrdiff_t>(copy.source) - static_cast<ptrdiff_t>(copy.target);
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
  for (size_t i = at; i + window <= stop; ++i) {
    while (i + window + BlockIndex::kScan <= stop && index.HasMask(target_.data + i) == 0) i += BlockIndex::kScan;
    if (i + window > stop) break;
    const uint64_t hash = HashBytes(target_.data + i, window);
    if (index.Has(hash) && TakeBest(index, hash, i, target_.length)) return true;
  }
  return false;
}

void Matcher::Walk() {
  size_t at = 0;
  while (at < target_.length && !Stopped(kNearBytes)) {
    const bool found =
        TakeNear(at, kNearBytes, target_.length) || Resync(at) || TakeNear(at, target_.length, target_.length);
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

void Matcher::AddSource(size_t fine_step, size_t coarse_step, BlockIndex* index) const {
  std::vector<std::pair<size_t, size_t>> matched;
  matched.reserve(copies_.size());
  VisitParts(copies_, poor_, [&](const Copy& part, bool poor) {
    if (!poor) matched.emplace_back(part.source, part.source + part.length);
  });
  std::sort(matched.begin(), matched.end());
  size_t at = 0;
  for (const auto& [begin, end] : matched) {
    // A window may reach into the matched part.
    if (begin > at) index->AddRange(source_.data, at, std::min(begin + index->window() - 1, end), fine_step);
    if (end > at) index->AddRange(source_.data, std::max(at, begin), end, coarse_step);
    at = std::max(at, end);
  }
  index->AddRange(source_.data, at, source_.length, fine_step);
}

// Matched content may occur again, the more often the more there is to find: places as costly as an eighth of that.
size_t Matcher::CoarseStep(size_t wanted) const {
  size_t step = settings_.coarse_step;
  while (step > kCoarseMin && source_.length / step < wanted / 8) step /= 2;
  return step;
}

Status Matcher::FillGaps() {
  JoinStretches(&poor_);
  size_t matched = 0;
  VisitParts(copies_, poor_, [&](const Copy& part, bool poor) { matched += poor ? 0 : part.length; });
  if (target_.length - matched < kGapsWorthIndex || source_.length < settings_.window) return Status::kOk;
  const size_t fine = source_.length - std::min(matched, source_.length);
  const size_t coarse_step = CoarseStep(target_.length - matched);
  const size_t fine_step = settings_.fine_step * (fine > settings_.fine_bytes_max ? 2 : 1);
  const size_t entries = fine / fine_step + source_.length / coarse_step + 64;
  BlockIndex index(settings_.window, fine_step, entries, settings_.ways);
  if (!index.good()) return Status::kMemory;
  AddSource(fine_step, coarse_step, &index);
  const std::vector<Copy> kept = std::move(copies_);
  copies_.clear();
  end_ = 0;
  diagonal_ = 0;
  for (const Copy& copy : kept) {
    ScanGap(index, copy.target);
    if (stopped_) return Status::kCancelled;
    const size_t room = std::min(copy.target - end_, copy.source);
    const size_t back = Behind(copy.target, copy.source, room);
    Push({copy.target - back, copy.source - back, copy.length + back});
  }
  ScanGap(index, target_.length);
  JoinStretches(&poor_);
  if (!stopped_ && !poor_.empty()) {
    copies_ = ImproveCopies(source_, target_, kernels_, index, copies_, poor_,
                            [this](size_t bytes) { return Stopped(bytes); });
  }
  return stopped_ ? Status::kCancelled : Status::kOk;
}

// As TakeNear behind the last copy, but what it would skip is looked for elsewhere first: two insertions may cancel
// out.
bool Matcher::TakeNearSearched(const BlockIndex& index, size_t limit) {
  const size_t at = end_;
  const ptrdiff_t diagonal = diagonal_;
  const size_t room = Room(at, limit);
  if (room == 0) return false;
  const size_t length = std::min(room, kNearBytes);
  const size_t skip = kernels_.equal_block(target_.data + at, source_.data + at + diagonal, length);
  if (skip < kSearchedSkip || skip == length) return TakeNear(at, kNearBytes, limit);
  ScanGap(index, at + skip);
  Take(at + skip, at + skip + static_cast<size_t>(diagonal), limit);
  return true;
}

// Fills what lies between the last copy and `limit`.
void Matcher::ScanGap(const BlockIndex& index, size_t limit) {
  const size_t window = index.window();
  size_t at = end_;
  size_t misses = 0;
  while (at + window <= limit) {
    if (at == end_ && TakeNearSearched(index, limit)) {
      if (stopped_) return;
      at = end_;
      misses = 0;
      continue;
    }
    if (misses < kPatience && at + window + BlockIndex::kScan <= limit) {
      const uint64_t mask = index.HasMask(target_.data + at);
      const size_t skip = mask == 0 ? BlockIndex::kScan : static_cast<size_t>(__builtin_ctzll(mask));
      at += skip;
      misses += skip;
      if (mask == 0) continue;
    }
    const uint64_t hash = HashBytes(target_.data + at, window);
    if (index.Has(hash) && TakeBest(index, hash, at, limit)) {
      if (Stopped(end_ - at)) return;
      at = end_;
      misses = 0;
      continue;
    }
    const size_t step = misses < kPatience ? 1 : std::min(kStepMax, (misses / kPatience) | 1);
    at += step;
    misses += step;
    if (Stopped(step)) return;
  }
}

}  // namespace

Status FindCopies(zstd::Span source, zstd::Span target, const MatchSettings& settings, const Kernels& kernels,
                  const std::function<bool()>& stop, std::vector<Copy>* copies) {
  copies->clear();
  if (source.length == 0 || target.length == 0) return Status::kOk;
  return Matcher(source, target, settings, kernels, stop).Run(copies);
}

}  // namespace dk::align
