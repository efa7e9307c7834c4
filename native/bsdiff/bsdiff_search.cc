// Binary search in a suffix array costs a chain of cache misses per question, and bsdiff asks at nearly every byte
// that differs. So a bitmap of all short pieces answers most of them first, the first pair of bytes narrows
// the array, and bytes known to be equal on both sides are not compared again.
#include "bsdiff/bsdiff_search.h"

#include <algorithm>

#include "bsdiff/suffix_array.h"

namespace dk::bsdiff {
namespace {

constexpr size_t kPairs = 65536;
// Equal matches looked at to find a near one: a short move costs less in the delta.
constexpr size_t kNeighbours = 32;

uint64_t Load64(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return word;
}

size_t PairOf(const uint8_t* at) { return static_cast<size_t>(at[0]) << 8 | at[1]; }

}  // namespace

Search::Search(ByteSpan source) : source_(source), suffixes_(new int32_t[source.length]) {
  SortSuffixes(source.data, suffixes_.get(), source.length);
  IndexPairs();
  IndexGrams();
}

size_t Search::GramBit(const uint8_t* at) const {
  // Two overlapping words cover the gram; the second is multiplied apart, so that its last byte reaches the top.
  const uint64_t mixed = Load64(at) * 0x9e3779b97f4a7c15 + Load64(at + kGramBytes - 8) * 0xc2b2ae3d27d4eb4f;
  return static_cast<size_t>((mixed ^ mixed >> 32) * 0x9e3779b97f4a7c15 >> gram_shift_);
}

void Search::IndexPairs() {
  pairs_.assign(kPairs + 1, 0);
  const uint8_t* const data = source_.data;
  const size_t length = source_.length;
  if (length == 0) return;
  std::vector<int32_t> counts(kPairs, 0);
  for (size_t i = 0; i + 1 < length; ++i) ++counts[PairOf(data + i)];
  // The suffix of one byte stands before all longer ones that start with it.
  const size_t single = static_cast<size_t>(data[length - 1]) << 8;
  int32_t sum = 0;
  for (size_t pair = 0; pair < kPairs; ++pair) {
    if (pair == single) ++sum;
    pairs_[pair] = sum;
    sum += counts[pair];
  }
  pairs_[kPairs] = sum;
}

void Search::IndexGrams() {
  unsigned bits = 10;
  // At most a byte per byte of source, at least half a byte: one bit in eight or fewer is set.
  while (bits < 40 && (size_t{2} << bits) <= source_.length * 8) ++bits;
  gram_shift_ = 64 - bits;
  grams_.assign((size_t{1} << bits) / 64, 0);
  for (size_t i = 0; i + kGramBytes <= source_.length; ++i) {
    const size_t bit = GramBit(source_.data + i);
    grams_[bit / 64] |= uint64_t{1} << (bit % 64);
  }
}

Search::Match Search::Longest(const uint8_t* wanted, size_t limit) const {
  Match best;
  if (limit < 2) return best;
  const size_t pair = PairOf(wanted);
  size_t low = static_cast<size_t>(pairs_[pair]);
  size_t high = static_cast<size_t>(pairs_[pair + 1]);
  // `pairs_[pair + 1]` counts the suffix of one byte too when it comes next.
  if ((pair & 0xff) == 0xff && high > low && source_.length - static_cast<size_t>(suffixes_[high - 1]) == 1) --high;
  size_t low_equal = 2;
  size_t high_equal = 2;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const size_t position = static_cast<size_t>(suffixes_[middle]);
    const size_t most = std::min(limit, source_.length - position);
    size_t equal = std::min(low_equal, high_equal);
    equal += EqualBytes(source_.data + position + equal, wanted + equal, most - equal);
    if (equal > best.length) best = {position, equal, middle};
    if (equal == limit) break;
    if (equal == most || source_.data[position + equal] < wanted[equal]) {
      low = middle + 1;
      low_equal = equal;
    } else {
      high = middle;
      high_equal = equal;
    }
  }
  return best;
}

Search::Match Search::Nearest(Match match, size_t position) const {
  const auto distance = [position](size_t a) { return a < position ? position - a : a - position; };
  const uint8_t* const bytes = source_.data + match.position;
  Match best = match;
  const auto look = [&](size_t rank) {
    const size_t at = static_cast<size_t>(suffixes_[rank]);
    if (source_.length - at < match.length || memcmp(source_.data + at, bytes, match.length) != 0) return false;
    if (distance(at) < distance(best.position)) best = {at, match.length, rank};
    return true;
  };
  for (size_t i = 1; i <= kNeighbours && match.rank >= i && look(match.rank - i); ++i) {
  }
  for (size_t i = 1; i <= kNeighbours && match.rank + i < source_.length && look(match.rank + i); ++i) {
  }
  return best;
}

}  // namespace dk::bsdiff
