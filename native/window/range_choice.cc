#include "window/range_choice.h"

#include <algorithm>

namespace dk::window {
namespace {

// Ranges with less between them are read as one: a seek costs about as much, and the bytes between are often kin.
constexpr int64_t kJoinBytes = 16 << 10;

struct Weighed {
  uint64_t begin;
  uint64_t end;
  uint64_t weight;
};

std::vector<Weighed> Join(std::vector<Wish> wishes, uint64_t source_length) {
  for (Wish& wish : wishes) {
    wish.begin = std::max<int64_t>(wish.begin, 0);
    wish.end = std::min(wish.end, static_cast<int64_t>(source_length));
  }
  std::sort(wishes.begin(), wishes.end(),
            [](const Wish& a, const Wish& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  std::vector<Weighed> joined;
  for (const Wish& wish : wishes) {
    if (wish.begin >= wish.end) continue;
    const uint64_t begin = static_cast<uint64_t>(wish.begin);
    const uint64_t end = static_cast<uint64_t>(wish.end);
    if (!joined.empty() && begin <= joined.back().end + kJoinBytes) {
      joined.back().end = std::max(joined.back().end, end);
      joined.back().weight += wish.weight;
    } else {
      joined.push_back({begin, end, wish.weight});
    }
  }
  return joined;
}

// Weight per byte, compared without rounding: both products stay below 2^64 (weights and lengths are at most 2^31).
bool Denser(const Weighed& a, const Weighed& b) {
  const uint64_t left = a.weight * (b.end - b.begin);
  const uint64_t right = b.weight * (a.end - a.begin);
  return left != right ? left > right : a.begin < b.begin;
}

}  // namespace

std::vector<Range> ChooseRanges(std::vector<Wish> wishes, uint64_t source_length, uint64_t budget) {
  std::vector<Weighed> joined = Join(std::move(wishes), source_length);
  uint64_t total = 0;
  for (const Weighed& range : joined) total += range.end - range.begin;
  if (total > budget) {
    std::sort(joined.begin(), joined.end(), Denser);
    uint64_t left = budget;
    for (Weighed& range : joined) {
      range.end = range.begin + std::min(range.end - range.begin, left);
      left -= range.end - range.begin;
    }
    std::sort(joined.begin(), joined.end(), [](const Weighed& a, const Weighed& b) { return a.begin < b.begin; });
  }
  std::vector<Range> ranges;
  for (const Weighed& range : joined) {
    if (range.begin < range.end) ranges.push_back({range.begin, range.end});
  }
  return ranges;
}

}  // namespace dk::window
