// Finds the longest piece of a source that equals the start of something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/byte_span.h"

namespace dk::bsdiff {

class Search {
 public:
  // Sorts the source, which must outlive the search. May throw std::bad_alloc.
  explicit Search(ByteSpan source);

  struct Match {
    size_t position = 0;
    size_t length = 0;
    size_t rank = 0;  // place in the suffix array
  };

  ByteSpan source() const { return source_; }
  // The longest match of the `limit` bytes at `wanted`; lengths below 2 come back as 0. Any number of threads.
  Match Longest(const uint8_t* wanted, size_t limit) const;
  // Another match as long as this one whose position is nearer to `wanted`, if a few looks find one.
  Match Nearest(Match match, size_t position) const;
  // False when no piece of kGramBytes bytes of the source equals those at `wanted`. Costs one look-up.
  bool MayHold(const uint8_t* wanted) const {
    const size_t bit = GramBit(wanted);
    return (grams_[bit / 64] >> (bit % 64) & 1) != 0;
  }
  static constexpr size_t kGramBytes = 9;

 private:
  size_t GramBit(const uint8_t* at) const;
  void IndexPairs();
  void IndexGrams();

  const ByteSpan source_;
  std::unique_ptr<int32_t[]> suffixes_;
  // Where the suffixes that start with each pair of bytes begin.
  std::vector<int32_t> pairs_;
  std::vector<uint64_t> grams_;
  unsigned gram_shift_ = 0;
};

}  // namespace dk::bsdiff
