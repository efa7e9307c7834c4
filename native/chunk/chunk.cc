#include "chunk/chunk.h"

#include <algorithm>

#include "chunk/gear.h"

namespace dk::chunk {
namespace {

constexpr unsigned kNormalisation = 2;

uint64_t TopBits(unsigned count) { return ~uint64_t{0} << (64 - count); }

// Length of the first piece. The masks are the two halves of normalised chunking: hard to match before
// the average, easy after it.
size_t FirstPiece(const uint8_t* data, size_t length, const Sizes& sizes, uint64_t mask_small, uint64_t mask_large) {
  if (length <= sizes.min_bytes) return length;
  const size_t end = std::min<size_t>(length, sizes.max_bytes);
  const size_t middle = std::min<size_t>(end, sizes.average_bytes);
  uint64_t hash = 0;
  size_t i = sizes.min_bytes;
  for (; i < middle; ++i) {
    hash = (hash << 1) + kGear[data[i]];
    if ((hash & mask_small) == 0) return i + 1;
  }
  for (; i < end; ++i) {
    hash = (hash << 1) + kGear[data[i]];
    if ((hash & mask_large) == 0) return i + 1;
  }
  return end;
}

}  // namespace

bool Valid(const Sizes& sizes) {
  return sizes.min_bytes >= 64 && sizes.min_bytes <= sizes.average_bytes && sizes.average_bytes <= sizes.max_bytes &&
         sizes.max_bytes <= (1u << 30);
}

std::vector<uint32_t> Cut(const uint8_t* data, size_t length, const Sizes& sizes, const std::function<bool()>& stop) {
  const unsigned bits = 31 - static_cast<unsigned>(__builtin_clz(sizes.average_bytes));
  const uint64_t mask_small = TopBits(bits + kNormalisation);
  const uint64_t mask_large = TopBits(bits - kNormalisation);
  std::vector<uint32_t> lengths;
  for (size_t at = 0; at < length && !stop();) {
    const size_t piece = FirstPiece(data + at, length - at, sizes, mask_small, mask_large);
    lengths.push_back(static_cast<uint32_t>(piece));
    at += piece;
  }
  return lengths;
}

}  // namespace dk::chunk
