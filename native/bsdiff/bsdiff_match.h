// Decides which parts of a target are made from which parts of a source.
#pragma once

#include <cstddef>
#include <vector>

#include "bsdiff/bsdiff_search.h"
#include "common/byte_span.h"

namespace dk::bsdiff {

// `length` bytes of the target that resemble as many bytes of the source. What lies between is new.
struct Copy {
  size_t target;
  size_t source;
  size_t length;
};

// Appends the copies of target bytes `begin` to `end`, in order, never overlapping. Positions in the source are those
// of the search. A match must beat the present diagonal by more than `advantage` equal bytes, at least
// Search::kGramBytes - 1.
void MatchRange(const Search& search, ByteSpan target, size_t begin, size_t end, size_t advantage,
                std::vector<Copy>* copies);

}  // namespace dk::bsdiff
