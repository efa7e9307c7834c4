// How the index is searched: in a header of its own, so that the scan of a window is compiled with it.
#pragma once

#include "window/source_index.h"

namespace dk::window {

// Neighbouring slots that a sample may take.
constexpr size_t kProbes = 8;

inline uint32_t FilterBits(uint32_t check) { return uint32_t{1} << (check & 31) | uint32_t{1} << ((check >> 5) & 31); }

inline bool SourceIndex::Has(Hash hash) const {
  const uint32_t bits = FilterBits(hash.check);
  return (filter_.get()[hash.place >> filter_shift_] & bits) == bits;
}

template <typename Visit>
void SourceIndex::Each(Hash hash, Visit visit) const {
  if (!Has(hash)) return;
  const size_t slot = hash.place >> slot_shift_;
  for (size_t i = slot; i < slot + kProbes && positions_.get()[i] != 0; ++i) {
    if (tags_.get()[i] == hash.check >> 16) visit((positions_.get()[i] - uint64_t{1}) * step_);
  }
}

}  // namespace dk::window
