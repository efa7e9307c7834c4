// Index of places in the source by a hash of the bytes that begin there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace dk::align {

// Hash of 16 or 32 bytes. Computed anew at each place instead of rolled: the products do not wait for each other.
inline uint64_t HashBytes(const uint8_t* at, size_t window) {
  uint64_t word[4];
  memcpy(word, at, 16);
  uint64_t hash = word[0] * 0x9e3779b97f4a7c15 + word[1] * 0xc2b2ae3d27d4eb4f;
  if (window == 32) {
    memcpy(word + 2, at + 16, 16);
    hash += word[2] * 0x165667b19e3779f9 + word[3] * 0xd6e8feb86659fd93;
  }
  hash ^= hash >> 32;
  hash *= 0xff51afd7ed558ccd;
  return hash ^ (hash >> 29);
}

// Bytes that repeat one byte say nothing about where they come from.
inline bool IsUniform(const uint8_t* at, size_t window) {
  const size_t compared = window - 1;
  return memcmp(at, at + 1, compared) == 0;
}

// Positions are multiples of a unit and cost four bytes each, times two for room, and one byte of filter.
class BlockIndex {
 public:
  // Room for about `entries`; `ways` neighbouring slots are searched for each hash.
  BlockIndex(size_t window, size_t unit, size_t entries, unsigned ways) : window_(window), unit_(unit), ways_(ways) {
    unsigned bits = 8;
    while ((size_t{1} << bits) < entries + entries / 2) ++bits;
    slots_ = size_t{1} << bits;
    shift_ = 64 - bits;
    filter_shift_ = shift_ + 3;
    table_.reset(static_cast<uint32_t*>(calloc(slots_ + ways, sizeof(uint32_t))));
    filter_.reset(static_cast<uint64_t*>(calloc(slots_ >> 3, sizeof(uint64_t))));
  }

  bool good() const { return table_ != nullptr && filter_ != nullptr; }
  size_t window() const { return window_; }
  size_t unit() const { return unit_; }

  // `position` is a multiple of the unit with `window` bytes of the source after it. The first come stay.
  void Add(const uint8_t* source, size_t position) { AddHash(HashBytes(source + position, window_), position); }

  void AddHash(uint64_t hash, size_t position) {
    uint32_t* slot = table_.get() + (hash >> shift_);
    for (unsigned i = 0; i < ways_; ++i) {
      if (slot[i] != 0) continue;
      slot[i] = static_cast<uint32_t>(position / unit_ + 1);
      filter_.get()[hash >> filter_shift_] |= FilterBits(hash);
      return;
    }
  }

  // Adds every multiple of `step` (itself one of the unit) whose window lies in [begin, end).
  void AddRange(const uint8_t* source, size_t begin, size_t end, size_t step);

  // Whether some place may have this hash.
  bool Has(uint64_t hash) const {
    const uint64_t bits = FilterBits(hash);
    return (filter_.get()[hash >> filter_shift_] & bits) == bits;
  }

  // Bit i says Has(hash of the window at `at` + i), for kScan places. No branch depends on a load, so the loads
  // overlap.
  static constexpr size_t kScan = 8;
  uint64_t HasMask(const uint8_t* at) const { return window_ == 32 ? HasMaskOf<32>(at) : HasMaskOf<16>(at); }

  // Calls `visit(position)` for every place that may have this hash.
  template <typename Visit>
  void Find(uint64_t hash, Visit visit) const {
    const uint32_t* slot = table_.get() + (hash >> shift_);
    for (unsigned i = 0; i < ways_ && slot[i] != 0; ++i) visit((slot[i] - size_t{1}) * unit_);
  }

 private:
  struct Free {
    void operator()(void* memory) const { free(memory); }
  };
  template <size_t window>
  uint64_t HasMaskOf(const uint8_t* at) const {
    uint64_t mask = 0;
    for (size_t i = 0; i < kScan; ++i) mask |= uint64_t{Has(HashBytes(at + i, window))} << i;
    return mask;
  }
  static uint64_t FilterBits(uint64_t hash) { return uint64_t{1} << (hash & 63) | uint64_t{1} << ((hash >> 6) & 63); }

  const size_t window_;
  const size_t unit_;
  const unsigned ways_;
  unsigned shift_;
  unsigned filter_shift_;
  size_t slots_;
  std::unique_ptr<uint32_t, Free> table_;
  std::unique_ptr<uint64_t, Free> filter_;
};

}  // namespace dk::align
