// Finds what a window of the target can be copied from.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "common/byte_span.h"

namespace dk::vcdiff {

// One way to make target bytes; what no operation covers is written out.
struct Operation {
  enum class From : uint8_t { kSource, kTarget, kRun };
  From from;
  size_t target;  // where the bytes go
  size_t length;
  size_t address;  // where they come from, in the source or the target
};

// Blocks of the source by their hash. Made at first use: what is equal in place never needs it.
class SourceIndex {
 public:
  static constexpr size_t kBlockBytes = 12;
  static constexpr size_t kLongBytes = 32;
  static constexpr size_t kNone = SIZE_MAX;

  explicit SourceIndex(ByteSpan source) : source_(source) {}

  // Position of a block equal to the first kLongBytes of the bytes at `wanted`, or else to the first kBlockBytes, or
  // kNone. Any number of threads; the first call makes the index and may throw std::bad_alloc.
  size_t Find(ByteSpan wanted);

 private:
  // Blocks of one length, `stride` bytes from one to the next.
  struct Table {
    size_t block_bytes;
    size_t stride;
    unsigned shift = 0;
    std::vector<uint32_t> slots = {};  // number of a block, from 1; 0 is free

    void Build(ByteSpan source);
    size_t SlotOf(const uint8_t* block) const;
    size_t Find(ByteSpan source, const uint8_t* wanted) const;
  };

  const ByteSpan source_;
  // Not call_once: its pthread_once would ask for a newer C library than the rest.
  std::mutex building_;
  std::atomic<bool> built_{false};
  Table short_{kBlockBytes, 4};
  // In a long text most short blocks stand in many places, of which only the first is known: a long one is rarely there
  // by chance.
  Table long_{kLongBytes, 16};
};

// Replaces `operations` by those of target bytes `begin` to `end`: in order, never overlapping; copies from the
// target stay inside the window.
void MatchWindow(ByteSpan source, SourceIndex* index, ByteSpan target, size_t begin, size_t end,
                 std::vector<Operation>* operations);

}  // namespace dk::vcdiff
