// One window of a target held against the index: what of it stands where in the source.
#pragma once

#include <vector>

#include "window/range_choice.h"
#include "window/source_index.h"

namespace dk::window {

class WindowScan {
 public:
  WindowScan(const SourceIndex& index, const SourceIndex::Window& window) : index_(index), window_(window) {}

  // Everything that would help to code the window.
  std::vector<Wish> Run();

 private:
  // Target bytes [begin, end) of the window, found at a distance (source position - target position).
  struct Found {
    uint64_t begin;
    uint64_t end;
    int64_t distance;
    // Two samples or more: no chance hit.
    bool sure;
  };
  void Stretch(uint64_t begin, uint64_t end);
  // The sample at `at`, preferring the distance of the find before; false when there is none.
  bool Lookup(SourceIndex::Hash hash, uint64_t at, int64_t* distance) const;
  bool Continues(uint64_t at, int64_t distance) const;
  void Wanted(std::vector<Wish>* wishes) const;
  void Gap(uint64_t begin, uint64_t end, const Found* before, const Found* after, std::vector<Wish>* wishes) const;

  const SourceIndex& index_;
  const SourceIndex::Window& window_;
  std::vector<Found> found_;
};

}  // namespace dk::window
