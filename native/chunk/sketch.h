// A few numbers that two byte strings have in common when they have most of their content in common, wherever it is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk::chunk {

constexpr size_t kSketchFeatures = 4;

// The features of the content: the smallest gear hashes of its stretches of 64 bytes, each one once, folded to 32 bits.
// Where there are fewer of them (short or periodic content) the rest is 0, which is no feature.
void Sketch(const uint8_t* data, size_t length, uint32_t features[kSketchFeatures]);

}  // namespace dk::chunk
