#include "align/align_index.h"

#include <algorithm>

namespace dk::align {

// Each slot is a cache miss: a batch of hashes is made and its slots are asked for before the first is used.
void BlockIndex::AddRange(const uint8_t* source, size_t begin, size_t end, size_t step) {
  constexpr size_t kBatch = 16;
  uint64_t hashes[kBatch];
  size_t positions[kBatch];
  size_t at = (begin + step - 1) / step * step;
  while (at + window_ <= end) {
    size_t count = 0;
    for (; count < kBatch && at + window_ <= end; at += step) {
      if (IsUniform(source + at, window_)) continue;
      hashes[count] = HashBytes(source + at, window_);
      __builtin_prefetch(table_.get() + (hashes[count] >> shift_), 1);
      __builtin_prefetch(filter_.get() + (hashes[count] >> filter_shift_), 1);
      positions[count++] = at;
    }
    for (size_t i = 0; i < count; ++i) AddHash(hashes[i], positions[i]);
  }
}

}  // namespace dk::align
