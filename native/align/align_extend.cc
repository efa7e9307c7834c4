// An equal byte counts +1, another -1. The extension ends where the sum is highest, and the search for that place
// gives up when the sum has fallen kSlack below it: on unrelated bytes that is after one vector.
#include "align/align_extend.h"

#include <algorithm>

namespace dk::align {
namespace {

constexpr size_t kStep = 64;
constexpr int64_t kSlack = 32;
// A stretch of about so many bytes is poor when more than an eighth of them differ.
constexpr size_t kJudged = 512;
constexpr size_t kPoorShare = 8;

struct Peak {
  int64_t sum = 0;
  int64_t best_sum = 0;
  size_t best = 0;

  // The sum moved; `at` is the length it now stands for. False when it is too low to go on.
  bool Accept(size_t at) {
    if (sum > best_sum) {
      best_sum = sum;
      best = at;
    }
    return sum >= best_sum - kSlack;
  }
};

// Cuts an extension into stretches and keeps the poor ones.
class Judge {
 public:
  explicit Judge(std::vector<Stretch>* poor) : poor_(poor), first_(poor->size()) {}

  void Add(size_t at, size_t step, size_t differ) {
    differ_ += differ;
    if (at + step - begin_ < kJudged) return;
    if (differ_ * kPoorShare > at + step - begin_) Keep(at + step);
    begin_ = at + step;
    differ_ = 0;
  }

 private:
  void Keep(size_t end) {
    if (poor_->size() > first_ && poor_->back().end == begin_) {
      poor_->back().end = end;
    } else {
      poor_->push_back({begin_, end});
    }
  }

  std::vector<Stretch>* const poor_;
  const size_t first_;
  size_t begin_ = 0;
  size_t differ_ = 0;
};

// Moves a length that is right to a vector to the best byte around it. `equal(i)` compares the i-th byte.
template <typename Equal>
size_t Refine(size_t coarse, size_t limit, Equal equal) {
  const size_t begin = coarse > kStep ? coarse - kStep : 0;
  const size_t end = std::min(limit, coarse + kStep);
  int64_t sum = 0;
  int64_t best_sum = 0;
  size_t best = begin;
  for (size_t i = begin; i < end; ++i) {
    sum += equal(i) ? 1 : -1;
    if (sum > best_sum) {
      best_sum = sum;
      best = i + 1;
    }
  }
  while (best > 0 && !equal(best - 1)) --best;
  return best;
}

}  // namespace

size_t ExtendForward(const Kernels& kernels, const uint8_t* a, const uint8_t* b, size_t limit,
                     std::vector<Stretch>* poor) {
  Peak peak;
  Judge judge(poor);
  size_t at = 0;
  while (at + kStep <= limit) {
    const uint64_t mask = kernels.equal_mask(a + at, b + at);
    size_t step = kStep;
    if (mask == ~uint64_t{0}) {
      step = kernels.equal_run(a + at, b + at, limit - at);
      peak.sum += static_cast<int64_t>(step);
      judge.Add(at, step, 0);
    } else {
      const auto equal = static_cast<size_t>(__builtin_popcountll(mask));
      peak.sum += 2 * static_cast<int64_t>(equal) - static_cast<int64_t>(kStep);
      judge.Add(at, step, kStep - equal);
    }
    at += step;
    if (!peak.Accept(at)) break;
  }
  return Refine(peak.best, limit, [&](size_t i) { return a[i] == b[i]; });
}

size_t ExtendBack(const Kernels& kernels, const uint8_t* a_end, const uint8_t* b_end, size_t limit,
                  std::vector<Stretch>* poor) {
  Peak peak;
  Judge judge(poor);
  size_t at = 0;
  while (at + kStep <= limit) {
    const uint64_t mask = kernels.equal_mask(a_end - at - kStep, b_end - at - kStep);
    size_t step = kStep;
    if (mask == ~uint64_t{0}) {
      step = kernels.equal_run_back(a_end - at, b_end - at, limit - at);
      peak.sum += static_cast<int64_t>(step);
      judge.Add(at, step, 0);
    } else {
      const auto equal = static_cast<size_t>(__builtin_popcountll(mask));
      peak.sum += 2 * static_cast<int64_t>(equal) - static_cast<int64_t>(kStep);
      judge.Add(at, step, kStep - equal);
    }
    at += step;
    if (!peak.Accept(at)) break;
  }
  return Refine(peak.best, limit, [&](size_t i) { return *(a_end - i - 1) == *(b_end - i - 1); });
}

}  // namespace dk::align
