// Min-wise sampling: of all gear hashes of a content the smallest ones are kept. Which those are depends on the
// stretches of 64 bytes that occur, not on where: an insertion changes only the hashes around it, so that two contents
// have about as large a share of these in common as of their stretches. One shift, one addition and one comparison a
// byte.
#include "chunk/sketch.h"

#include "chunk/gear.h"

namespace dk::chunk {
namespace {

// Bytes that one hash depends on.
constexpr size_t kStretchBytes = 64;
constexpr uint64_t kNone = ~uint64_t{0};

// Puts a hash that is smaller than the last one in its place, once.
void Insert(uint64_t hash, uint64_t smallest[kSketchFeatures]) {
  size_t at = kSketchFeatures - 1;
  for (size_t i = 0; i < at; ++i) {
    if (smallest[i] == hash) return;
  }
  for (; at > 0 && smallest[at - 1] > hash; --at) smallest[at] = smallest[at - 1];
  smallest[at] = hash;
}

// The upper bits of a smallest hash are zeros, the lowest ones depend on the last bytes alone: they are mixed.
uint32_t Fold(uint64_t hash) {
  if (hash == kNone) return 0;
  return static_cast<uint32_t>((hash * 0x9e3779b97f4a7c15) >> 32);
}

}  // namespace

void Sketch(const uint8_t* data, size_t length, uint32_t features[kSketchFeatures]) {
  uint64_t smallest[kSketchFeatures] = {kNone, kNone, kNone, kNone};
  uint64_t hash = 0;
  size_t i = 0;
  for (; i < length && i + 1 < kStretchBytes; ++i) hash = (hash << 1) + kGear[data[i]];
  uint64_t bound = kNone;
  for (; i < length; ++i) {
    hash = (hash << 1) + kGear[data[i]];
    if (__builtin_expect(hash < bound, 0)) {
      Insert(hash, smallest);
      bound = smallest[kSketchFeatures - 1];
    }
  }
  for (size_t k = 0; k < kSketchFeatures; ++k) features[k] = Fold(smallest[k]);
}

}  // namespace dk::chunk
