// The second pass of the matcher: an index of the source, and what it knows of the gaps.
#include "align/align_improve.h"
#include "align/align_matcher.h"

namespace dk::align {
namespace {

// After this many bytes without a match the search takes longer steps.
constexpr size_t kPatience = 4096;
constexpr size_t kStepMax = 15;
// A skip along a diagonal from which on the skipped bytes may hold a match of their own.
constexpr size_t kSearchedSkip = 64;
constexpr size_t kCoarseMin = 256;
constexpr size_t kGapsWorthIndex = 256;

}  // namespace

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

}  // namespace dk::align
