// From many wishes for pieces of a source to few ranges within a budget.
#pragma once

#include <cstdint>
#include <vector>

#include "window/source_index.h"

namespace dk::window {

// A piece of the source, which may begin or end outside it, and how many target bytes speak for it.
struct Wish {
  int64_t begin;
  int64_t end;
  uint64_t weight;
};

// Near wishes are joined; what exceeds the budget is given up from the least dense range on. Ascending and apart.
std::vector<Range> ChooseRanges(std::vector<Wish> wishes, uint64_t source_length, uint64_t budget);

}  // namespace dk::window
