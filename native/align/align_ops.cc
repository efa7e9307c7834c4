// A copy's differing bytes become subtractions where they are few in a row (an address that moved) and literals where
// they are many (new content, which has more in common with other content than with what it replaced).
#include "align/align_ops.h"

#include <cstring>

namespace dk::align {
namespace {

// From this many differing bytes in a row they are literals.
constexpr size_t kLiteralRun = 4;
// What is left between two such runs must be worth a copy.
constexpr size_t kPieceMin = 20;
// Equal bytes between two runs that do not part them: a zero costs less than two numbers.
constexpr size_t kJoin = 1;

struct Run {
  size_t begin;  // in the copy
  size_t end;
};

class WindowMaker {
 public:
  WindowMaker(zstd::Span source, zstd::Span target, const Kernels& kernels, size_t begin)
      : source_(source), target_(target), kernels_(kernels), end_(begin) {}

  void Add(const Copy& copy);
  WindowParts Finish(size_t end);

 private:
  struct Gap {
    uint64_t length;
    uint64_t before;
    uint64_t after;
  };

  void FindRuns(const Copy& copy);
  void AddPiece(const Copy& copy, size_t begin, size_t end, size_t run, size_t runs_end);
  void AddRun(const Copy& copy, const Run& run, size_t previous);
  void AddGap(size_t until, uint64_t after);

  const zstd::Span source_;
  const zstd::Span target_;
  const Kernels& kernels_;
  WindowParts parts_;
  std::vector<Run> runs_;
  std::vector<Gap> gaps_;
  size_t end_;                                    // of what is done, in the target
  uint64_t source_end_ = ContextGatherer::kNone;  // of the last copy
  int64_t diagonal_ = 0;
};

// Runs of differing bytes in a copy.
void WindowMaker::FindRuns(const Copy& copy) {
  const uint8_t* a = target_.data + copy.target;
  const uint8_t* b = source_.data + copy.source;
  runs_.clear();
  size_t at = 0;
  for (;;) {
    at += kernels_.equal_run(a + at, b + at, copy.length - at);
    if (at == copy.length) return;
    size_t end = at + 1;
    while (end < copy.length && a[end] != b[end]) ++end;
    if (!runs_.empty() && at - runs_.back().end <= kJoin) {
      runs_.back().end = end;
    } else {
      runs_.push_back({at, end});
    }
    at = end;
  }
}

void WindowMaker::AddGap(size_t until, uint64_t after) {
  const size_t length = until - end_;
  if (length == 0) return;
  gaps_.push_back({length, source_end_, after});
  parts_.literals.insert(parts_.literals.end(), target_.data + end_, target_.data + until);
}

void WindowMaker::AddRun(const Copy& copy, const Run& run, size_t previous) {
  const uint64_t gap = run.begin - previous;
  const uint64_t length = run.end - run.begin - 1;
  parts_.numbers[kRunToken].push_back(
      static_cast<uint8_t>(std::min(gap, kTokenGapMax) | std::min(length, kTokenLengthMax) << 6));
  if (gap >= kTokenGapMax) PutVarint(&parts_.numbers[kRunExtra], gap - kTokenGapMax);
  if (length >= kTokenLengthMax) PutVarint(&parts_.numbers[kRunExtra], length - kTokenLengthMax);
  int borrow = 0;
  for (size_t i = run.begin; i < run.end; ++i) {
    const int difference = target_.data[copy.target + i] - source_.data[copy.source + i] - borrow;
    borrow = difference < 0 ? 1 : 0;
    parts_.differences[std::min<size_t>(i - run.begin, kOthers)].push_back(static_cast<uint8_t>(difference));
  }
}

// The part [begin, end) of a copy, with the runs that lie in it.
void WindowMaker::AddPiece(const Copy& copy, size_t begin, size_t end, size_t run, size_t runs_end) {
  if (end - begin < kPieceMin) return;
  const size_t target = copy.target + begin;
  const size_t source = copy.source + begin;
  const int64_t diagonal = static_cast<int64_t>(source) - static_cast<int64_t>(target);
  PutVarint(&parts_.numbers[kLiteralLength], target - end_);
  PutVarint(&parts_.numbers[kCopyLength], end - begin - 1);
  PutVarint(&parts_.numbers[kDiagonal], ZigZag(diagonal - diagonal_));
  PutVarint(&parts_.numbers[kRunCount], runs_end - run);
  AddGap(target, source);
  parts_.copies += 1;
  parts_.runs += runs_end - run;
  size_t previous = begin;
  for (; run < runs_end; ++run) {
    AddRun(copy, runs_[run], previous);
    previous = runs_[run].end;
  }
  end_ = copy.target + end;
  source_end_ = source + (end - begin);
  diagonal_ = diagonal;
}

void WindowMaker::Add(const Copy& copy) {
  FindRuns(copy);
  size_t begin = 0;
  size_t first = 0;
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (runs_[i].end - runs_[i].begin < kLiteralRun) continue;
    AddPiece(copy, begin, runs_[i].begin, first, i);
    begin = runs_[i].end;
    first = i + 1;
  }
  AddPiece(copy, begin, copy.length, first, runs_.size());
}

WindowParts WindowMaker::Finish(size_t end) {
  AddGap(end, ContextGatherer::kNone);
  ContextGatherer gatherer(source_, parts_.literals.size());
  for (const Gap& gap : gaps_) gatherer.Add(gap.length, gap.before, gap.after);
  parts_.context = gatherer.TakeBytes();
  return std::move(parts_);
}

}  // namespace

WindowParts MakeWindow(zstd::Span source, zstd::Span target, const Kernels& kernels, const std::vector<Copy>& copies,
                       size_t begin, size_t end, size_t first) {
  WindowMaker maker(source, target, kernels, begin);
  for (; first < copies.size(); ++first) {
    Copy copy = copies[first];
    const size_t copy_end = copy.target + copy.length;
    if (copy.target >= end) break;
    if (copy.target < begin) {
      copy.source += begin - copy.target;
      copy.target = begin;
    }
    copy.length = std::min(copy_end, end) - copy.target;
    maker.Add(copy);
    if (copy_end > end) break;
  }
  return maker.Finish(end);
}

}  // namespace dk::align
