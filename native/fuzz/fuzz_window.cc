// libFuzzer harness of the index of long sources: whatever the window, the ranges lie in the source, ascend, are apart
// and keep to the budget.
#include "fuzz/fuzz_input.h"
#include "window/source_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  // Longer than one step, so that there is something to find.
  std::vector<uint8_t> source;
  for (int i = 0; i < 4; ++i) source.insert(source.end(), input.source.begin(), input.source.end());
  dk::window::SourceIndex index(source.size());
  if (!index.good()) return 0;
  index.Add(dk::fuzz::SpanOf(source), 0);
  const size_t offset = input.target_length;
  const size_t there = offset < source.size() ? std::min(source.size() - offset, input.rest.size()) : 0;
  const std::vector<uint8_t> in_place(source.begin() + static_cast<ptrdiff_t>(std::min(offset, source.size())),
                                      source.begin() + static_cast<ptrdiff_t>(std::min(offset, source.size()) + there));
  const uint64_t budget = uint64_t{input.mode} * 64;
  const auto ranges = index.Find({dk::fuzz::SpanOf(input.rest), offset, dk::fuzz::SpanOf(in_place), budget, {}});
  uint64_t last = 0;
  uint64_t sum = 0;
  for (const dk::window::Range& range : ranges) {
    dk::fuzz::Check(range.begin >= last && range.end > range.begin && range.end <= source.size());
    last = range.end;
    sum += range.end - range.begin;
  }
  dk::fuzz::Check(sum <= budget);
  return 0;
}
