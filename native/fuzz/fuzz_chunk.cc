// libFuzzer harness of the chunker: pieces keep to their sizes and add up, and short bytes have no features.
#include "chunk/chunk.h"
#include "chunk/sketch.h"
#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  const uint32_t average = 64 + static_cast<uint32_t>(input.target_length % 1024);
  const dk::chunk::Sizes sizes = {64, average, average + input.mode};
  dk::fuzz::Check(dk::chunk::Valid(sizes));
  const auto pieces = dk::chunk::Cut(input.rest.data(), input.rest.size(), sizes, [] { return false; });
  size_t sum = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    dk::fuzz::Check(pieces[i] > 0 && pieces[i] <= sizes.max_bytes);
    dk::fuzz::Check(pieces[i] >= sizes.min_bytes || i + 1 == pieces.size());
    sum += pieces[i];
  }
  dk::fuzz::Check(sum == input.rest.size());
  uint32_t features[dk::chunk::kSketchFeatures];
  dk::chunk::Sketch(input.rest.data(), input.rest.size(), features);
  for (size_t k = 0; input.rest.size() < 64 && k < dk::chunk::kSketchFeatures; ++k) dk::fuzz::Check(features[k] == 0);
  return 0;
}
