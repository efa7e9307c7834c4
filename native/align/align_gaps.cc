// The second pass of the matcher: an index of the source, and what it knows of the gaps.
#include "align/align_improve.h"
#include "align/align_matcher.h"
#include "common/thread_pool.h"

namespace dk::align {
namespace {

// After this many bytes without a match the search takes longer steps.
constexpr size_t kPatience = 4096;
constexpr size_t kStepMax = 15;
// A skip along a diagonal from which on the skipped bytes may hold a match of their own.
constexpr size_t kSearchedSkip = 64;
constexpr size_t kCoarseMin = 256;
constexpr size_t kGapsWorthIndex = 256;
// The target is searched in parts of this length side by side. Fixed, so that the copies do not depend on the threads.
constexpr size_t kPartBytes = 4 << 20;

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

// Fills the gaps between the copies that lie in one part of the target.
void Matcher::FillPart(const BlockIndex& index, const std::vector<Copy>& kept, size_t begin, size_t end) {
  end_ = begin;
  auto next = std::partition_point(kept.begin(), kept.end(),
                                   [&](const Copy& copy) { return copy.target + copy.length <= begin; });
  if (next != kept.begin()) diagonal_ = DiagonalOf(*std::prev(next));
  for (; next != kept.end() && next->target < end; ++next) {
    const size_t skipped = begin > next->target ? begin - next->target : 0;
    const size_t target = next->target + skipped;
    const size_t source = next->source + skipped;
    const size_t length = std::min(next->target + next->length, end) - target;
    ScanGap(index, target);
    if (stopped_) return;
    const size_t back = Behind(target, source, std::min(target - end_, source));
    Push({target - back, source - back, length + back});
  }
  ScanGap(index, end);
}

// Adds what another matcher found in the part that begins at `begin`. What was cut off there goes on first.
void Matcher::Append(const Matcher& part, size_t begin, size_t end) {
  stopped_ = stopped_ || part.stopped_;
  poor_.insert(poor_.end(), part.poor_.begin(), part.poor_.end());
  if (!copies_.empty() && end_ == begin) {
    Copy& last = copies_.back();
    const size_t from = last.source + last.length;
    const size_t until = part.copies_.empty() ? end : part.copies_.front().target;
    const size_t room = std::min(until - begin, source_.length - from);
    last.length += kernels_.equal_run(target_.data + begin, source_.data + from, room);
    end_ = last.target + last.length;
  }
  for (const Copy& copy : part.copies_) Push(copy);
}

void Matcher::FillParts(const BlockIndex& index, const std::vector<Copy>& kept, size_t part_bytes) {
  const size_t count = (target_.length + part_bytes - 1) / part_bytes;
  const auto end_of = [&](size_t i) { return std::min(target_.length, (i + 1) * part_bytes); };
  std::vector<Matcher> parts(count, Matcher(source_, target_, settings_, kernels_, stop_));
  ParallelFor(count, [&](size_t i) { parts[i].FillPart(index, kept, i * part_bytes, end_of(i)); });
  end_ = 0;
  for (size_t i = 0; i < count; ++i) Append(parts[i], i * part_bytes, end_of(i));
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
  FillParts(index, kept, target_.length - matched > kPartBytes ? kPartBytes : target_.length);
  if (stopped_) return Status::kCancelled;
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
