#include "align/align_improve.h"

#include <algorithm>

namespace dk::align {
namespace {

// So many bytes must differ on the diagonal that is left before another one is worth its numbers.
constexpr size_t kGainMin = 12;
// Equal bytes that are not looked at further.
constexpr size_t kGoodRun = 64;
constexpr size_t kCompareBytes = 64 << 10;
// How far two diagonals are compared to go on with the better one.
constexpr size_t kAheadBytes = 256;
constexpr size_t kMaskBytes = 64;
// The search ends when it has looked at so many bytes in vain, and so many more for each better place.
constexpr size_t kPatience = 256 << 10;
constexpr size_t kPatienceEach = 2048;

class Improver {
 public:
  Improver(zstd::Span source, zstd::Span target, const Kernels& kernels, const BlockIndex& index)
      : source_(source), target_(target), kernels_(kernels), index_(index) {}

  void Push(const Copy& copy);
  void Improve(const Copy& copy);
  bool patient() const { return searched_ <= kPatience + kPatienceEach * switches_; }
  std::vector<Copy> Take() { return std::move(copies_); }

 private:
  const uint8_t* To(size_t at) const { return target_.data + at; }
  const uint8_t* From(size_t at, size_t diagonal) const { return source_.data + at + diagonal; }
  // Where a diagonal leaves the source; sums wrap for negative ones.
  size_t End(size_t limit, size_t diagonal) const { return std::min(limit, source_.length - diagonal); }
  void PushUntil(size_t end);
  size_t Equal(size_t at, size_t diagonal, size_t limit) const;
  size_t Differ(size_t begin, size_t end) const;
  bool Switch(size_t at, size_t limit);
  size_t GoodRun(size_t at, size_t limit) const;

  const zstd::Span source_;
  const zstd::Span target_;
  const Kernels& kernels_;
  const BlockIndex& index_;
  std::vector<Copy> copies_;
  size_t diagonal_ = 0;  // source position minus target position, wrapping
  size_t done_ = 0;
  size_t next_ = 0;
  size_t searched_ = 0;
  size_t switches_ = 0;
};

void Improver::Push(const Copy& copy) {
  if (copy.length == 0) return;
  if (!copies_.empty()) {
    Copy& last = copies_.back();
    if (last.target + last.length == copy.target && last.source + last.length == copy.source) {
      last.length += copy.length;
      return;
    }
  }
  copies_.push_back(copy);
}

void Improver::PushUntil(size_t end) {
  if (end > done_) Push({done_, done_ + diagonal_, end - done_});
  done_ = std::max(done_, end);
}

// Equal bytes of the next few on a diagonal.
size_t Improver::Equal(size_t at, size_t diagonal, size_t limit) const {
  const size_t end = std::min(End(limit, diagonal), at + kAheadBytes);
  size_t equal = 0;
  for (; at + kMaskBytes <= end; at += kMaskBytes) {
    equal += static_cast<size_t>(__builtin_popcountll(kernels_.equal_mask(To(at), From(at, diagonal))));
  }
  for (; at < end; ++at) equal += *To(at) == *From(at, diagonal);
  return equal;
}

// Differing bytes on the current diagonal, as far as they matter.
size_t Improver::Differ(size_t begin, size_t end) const {
  end = std::min(end, End(end, diagonal_));
  size_t differ = 0;
  for (size_t at = begin; at < end && differ < kGainMin; ++at) {
    at += kernels_.equal_run(To(at), From(at, diagonal_), end - at);
    if (at < end) ++differ;
  }
  return differ;
}

// Goes over to the longest of the places that the index names for the bytes at `at`.
bool Improver::Switch(size_t at, size_t limit) {
  size_t best = 0, best_back = 0, best_source = 0;
  index_.Find(HashBytes(To(at), index_.window()), [&](size_t from) {
    const size_t room = std::min({limit - at, source_.length - from, kCompareBytes});
    const size_t ahead = kernels_.equal_run(To(at), source_.data + from, room);
    if (ahead < index_.window()) return;
    const size_t back = kernels_.equal_run_back(To(at), source_.data + from, std::min(at - done_, from));
    if (ahead + back <= best) return;
    best = ahead + back;
    best_back = back;
    best_source = from;
  });
  if (best == 0 || best_source - at == diagonal_) return false;
  const size_t begin = at - best_back;
  if (Differ(begin, begin + best) < kGainMin) return false;
  PushUntil(begin);
  diagonal_ = best_source - at;
  next_ = begin + best;
  ++switches_;
  return true;
}

// Equal bytes from here on, when they are many.
size_t Improver::GoodRun(size_t at, size_t limit) const {
  const size_t run = kernels_.equal_run(To(at), From(at, diagonal_), End(limit, diagonal_) - at);
  return run >= kGoodRun ? run : 0;
}

void Improver::Improve(const Copy& copy) {
  const size_t window = index_.window();
  const size_t limit = copy.target + copy.length;
  const size_t own = copy.source - copy.target;
  diagonal_ = own;
  done_ = copy.target;
  size_t at = done_;
  size_t looked = at;
  while (at + window <= limit && patient()) {
    if (at >= looked) {
      at += GoodRun(at, limit);
      looked = at + kMaskBytes;
      if (at + window > limit) break;
    }
    if (at + window + BlockIndex::kScan <= limit) {
      const uint64_t mask = index_.HasMask(To(at));
      at += mask == 0 ? BlockIndex::kScan : static_cast<size_t>(__builtin_ctzll(mask));
      searched_ += BlockIndex::kScan;
      if (mask == 0 && End(limit, diagonal_) > at) continue;
    }
    if (End(limit, diagonal_) > at && (IsUniform(To(at), window) || !Switch(at, limit))) {
      ++at;
    } else {
      at = std::max(at, next_);
    }
    if (diagonal_ != own && (at >= End(limit, diagonal_) || Equal(at, own, limit) > Equal(at, diagonal_, limit))) {
      PushUntil(std::min(at, End(limit, diagonal_)));
      diagonal_ = own;
    }
  }
  if (diagonal_ != own) PushUntil(std::min(limit, End(limit, diagonal_)));
  diagonal_ = own;
  PushUntil(limit);
}

}  // namespace

void JoinStretches(std::vector<Stretch>* stretches) {
  std::sort(stretches->begin(), stretches->end(),
            [](const Stretch& a, const Stretch& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  size_t kept = 0;
  for (const Stretch& next : *stretches) {
    if (kept > 0 && next.begin <= (*stretches)[kept - 1].end) {
      (*stretches)[kept - 1].end = std::max((*stretches)[kept - 1].end, next.end);
    } else {
      (*stretches)[kept++] = next;
    }
  }
  stretches->resize(kept);
}

void VisitParts(const std::vector<Copy>& copies, const std::vector<Stretch>& poor,
                const std::function<void(const Copy&, bool)>& visit) {
  size_t next = 0;
  for (const Copy& copy : copies) {
    const size_t end = copy.target + copy.length;
    size_t at = copy.target;
    const auto until = [&](size_t to, bool is_poor) {
      if (to > at) visit({at, copy.source + (at - copy.target), to - at}, is_poor);
      at = std::max(at, to);
    };
    while (next < poor.size() && poor[next].end <= at) ++next;
    for (size_t i = next; i < poor.size() && poor[i].begin < end; ++i) {
      until(std::max(at, poor[i].begin), false);
      until(std::min(end, poor[i].end), true);
    }
    until(end, false);
  }
}

std::vector<Copy> ImproveCopies(zstd::Span source, zstd::Span target, const Kernels& kernels, const BlockIndex& index,
                                const std::vector<Copy>& copies, const std::vector<Stretch>& poor,
                                const std::function<bool(size_t)>& poll) {
  Improver improver(source, target, kernels, index);
  bool stopped = false;
  VisitParts(copies, poor, [&](const Copy& part, bool is_poor) {
    if (!is_poor || stopped || !improver.patient()) return improver.Push(part);
    improver.Improve(part);
    stopped = poll(part.length);
  });
  return improver.Take();
}

}  // namespace dk::align
