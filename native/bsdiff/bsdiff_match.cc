// The matching of bsdiff, from its description: Percival, "Naive differences of executable code" (2003). The target
// is walked from left to right on a diagonal (source position minus target position). An exact match elsewhere opens
// a new diagonal when it beats the bytes that happen to be equal on the present one by more than a few; then the old
// copy is extended forwards and the new one backwards for as long as at least half of the bytes agree.
//
// What bsdiff does at every byte is left out where it cannot matter: on a long equal run of the present diagonal, and
// where a bitmap says that the next bytes, as many as a match must have to win, are nowhere in the source.
#include "bsdiff/bsdiff_match.h"

#include <algorithm>
#include <cstdint>

namespace dk::bsdiff {
namespace {

// A run of equal bytes on the present diagonal that is taken without asking for a better one.
constexpr size_t kRunTaken = 32;

class Walk {
 public:
  Walk(const Search& search, ByteSpan target, size_t begin, size_t end, size_t advantage, std::vector<Copy>* copies)
      : search_(search),
        source_(search.source()),
        target_(target.data),
        end_(end),
        advantage_(advantage),
        copies_(copies),
        copy_target_(begin),
        copy_source_(std::min(begin, source_.length)) {}

  void Run();

 private:
  // Source position on the present diagonal; far out of range when it would be negative.
  size_t OnDiagonal(size_t at) const { return at - copy_target_ + copy_source_; }
  bool SameAt(size_t at) const {
    const size_t position = OnDiagonal(at);
    return position < source_.length && source_.data[position] == target_[at];
  }
  size_t RunAt(size_t at) const {
    const size_t position = OnDiagonal(at);
    if (position >= source_.length) return 0;
    return EqualBytes(source_.data + position, target_ + at, std::min(end_ - at, source_.length - position));
  }
  bool FindNext(size_t* scan, Search::Match* match) const;
  size_t ExtendForwards(size_t scan) const;
  size_t ExtendBackwards(size_t scan, size_t position) const;
  size_t BestSeam(size_t scan, size_t position, size_t forwards, size_t overlap) const;
  void Close(size_t scan, const Search::Match& match);

  const Search& search_;
  const ByteSpan source_;
  const uint8_t* const target_;
  const size_t end_;
  const size_t advantage_;
  std::vector<Copy>* const copies_;
  // The open copy: where it begins. Its diagonal is the present one.
  size_t copy_target_;
  size_t copy_source_;
};

// Moves `scan` to the next place where another diagonal is better; false at the end.
bool Walk::FindNext(size_t* scan, Search::Match* match) const {
  size_t at = *scan;
  size_t counted = at;  // `score` is about the bytes from `at` up to here
  size_t score = 0;     // equal bytes on the present diagonal
  while (at < end_) {
    const size_t run = RunAt(at);
    if (run >= kRunTaken) {
      at += run;
      counted = at;
      score = 0;
      continue;
    }
    const size_t left = end_ - at;
    if (left < Search::kGramBytes || search_.MayHold(target_ + at)) {
      *match = search_.Longest(target_ + at, left);
      for (; counted < at + match->length; ++counted) score += SameAt(counted) ? 1 : 0;
      if (match->length > 0 && match->length == score) {
        at += match->length;
        counted = at;
        score = 0;
        continue;
      }
      if (match->length > score + advantage_) {
        *match = search_.Nearest(*match, OnDiagonal(at));
        *scan = at;
        return true;
      }
    }
    if (counted > at) {
      score -= SameAt(at) ? 1 : 0;
    } else {
      counted = at + 1;
    }
    ++at;
  }
  *scan = end_;
  return false;
}

// Length of the open copy for which twice the equal bytes minus all bytes is greatest.
size_t Walk::ExtendForwards(size_t scan) const {
  const size_t most = std::min(scan - copy_target_, source_.length - copy_source_);
  const uint8_t* const target = target_ + copy_target_;
  const uint8_t* const source = source_.data + copy_source_;
  int64_t value = 0, best = 0;
  size_t length = 0;
  for (size_t i = 0; i < most;) {
    const size_t run = EqualBytes(source + i, target + i, most - i);
    i += run;
    value += static_cast<int64_t>(run);
    if (value > best) {
      best = value;
      length = i;
    }
    for (; i < most && source[i] != target[i]; ++i) --value;
  }
  return length;
}

// The same for the bytes before a match.
size_t Walk::ExtendBackwards(size_t scan, size_t position) const {
  const size_t most = std::min(scan - copy_target_, position);
  int64_t value = 0, best = 0;
  size_t length = 0;
  for (size_t i = 1; i <= most; ++i) {
    value += source_.data[position - i] == target_[scan - i] ? 1 : -1;
    if (value > best) {
      best = value;
      length = i;
    }
  }
  return length;
}

// Where two copies overlap: how many of those bytes the open one keeps.
size_t Walk::BestSeam(size_t scan, size_t position, size_t forwards, size_t overlap) const {
  const size_t begin = copy_target_ + forwards - overlap;
  const uint8_t* const target = target_ + begin;
  const uint8_t* const open = source_.data + copy_source_ + forwards - overlap;
  const uint8_t* const next = source_.data + (position - (scan - begin));
  int64_t value = 0, best = 0;
  size_t kept = 0;
  for (size_t i = 0; i < overlap; ++i) {
    value += (open[i] == target[i] ? 1 : 0) - (next[i] == target[i] ? 1 : 0);
    if (value > best) {
      best = value;
      kept = i + 1;
    }
  }
  return kept;
}

// Ends the open copy and opens the one of `match`, which has no length at the end.
void Walk::Close(size_t scan, const Search::Match& match) {
  size_t forwards = ExtendForwards(scan);
  size_t backwards = match.length > 0 ? ExtendBackwards(scan, match.position) : 0;
  if (copy_target_ + forwards > scan - backwards) {
    const size_t overlap = copy_target_ + forwards - (scan - backwards);
    const size_t kept = BestSeam(scan, match.position, forwards, overlap);
    forwards -= overlap - kept;
    backwards -= kept;
  }
  if (forwards > 0) copies_->push_back({copy_target_, copy_source_, forwards});
  copy_target_ = scan - backwards;
  copy_source_ = match.position - backwards;
}

void Walk::Run() {
  Search::Match match;
  size_t scan = copy_target_;
  while (FindNext(&scan, &match)) {
    Close(scan, match);
    scan += match.length;
  }
  Close(end_, {});
}

}  // namespace

void MatchRange(const Search& search, ByteSpan target, size_t begin, size_t end, size_t advantage,
                std::vector<Copy>* copies) {
  Walk(search, target, begin, end, advantage, copies).Run();
}

}  // namespace dk::bsdiff
