// A sparse index of a source too long for memory, and the question it answers: which ranges of the source should be
// read to code one window of a target. Samples of 32 bytes are taken at every multiple of a step, so any stretch that
// is as long as a step and a sample is found wherever it went. The TypeScript twin makes the same choices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "common/byte_span.h"

namespace dk::window {

// Bytes [begin, end) of the source.
struct Range {
  uint64_t begin;
  uint64_t end;
};

class SourceIndex {
 public:
  // Takes at most 56 MiB, less for short sources; see good().
  explicit SourceIndex(uint64_t source_length);
  bool good() const { return positions_ != nullptr && tags_ != nullptr && filter_ != nullptr; }
  uint64_t step() const { return step_; }

  // Samples that lie wholly in these bytes of the source, which begin at `offset`. Not for several threads at once.
  void Add(ByteSpan data, uint64_t offset);

  struct Window {
    ByteSpan target;
    uint64_t target_offset;
    // What the source has at the same offset: as many bytes as the target has, fewer where the source ends.
    ByteSpan in_place;
    // All ranges together are at most this long.
    uint64_t budget;
    // Polled now and then; true ends the work early.
    std::function<bool()> stop;
  };
  // Ranges of the source, ascending and apart, that resemble the window. May throw std::bad_alloc.
  std::vector<Range> Find(const Window& window) const;

 private:
  friend class WindowScan;
  struct Free {
    void operator()(void* memory) const { free(memory); }
  };
  struct Hash {
    uint32_t place;
    uint32_t check;
  };
  static Hash Mix(uint32_t first, uint32_t second);
  void Put(Hash hash, uint64_t sample);
  bool Has(Hash hash) const;
  // Calls `visit(position)` for every sample that seems to be equal.
  template <typename Visit>
  void Each(Hash hash, Visit visit) const;

  const uint64_t source_length_;
  uint64_t step_;
  unsigned slot_shift_;
  unsigned filter_shift_;
  // By slot: number of the sample + 1 (0: free), and 16 more bits of its hash.
  std::unique_ptr<uint32_t, Free> positions_;
  std::unique_ptr<uint16_t, Free> tags_;
  // Two bits of one word per sample: nearly all hashes that are nowhere end here.
  std::unique_ptr<uint32_t, Free> filter_;
};

}  // namespace dk::window
