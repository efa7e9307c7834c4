// The `tensor` engine: arrays of floats as differences to the same elements of a source, byte plane by byte plane.
// Byte format: docs/format-tensor.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/byte_span.h"
#include "common/cpu.h"
#include "common/status.h"

namespace dk::planes {

enum class Effort { kFast, kBalanced, kMax };

// Where the target holds elements: `length` bytes from `begin`, each `width` bytes wide (2, 4 or 8). The elements of
// the source that they resemble begin at `source`; kNoSource when there are none. What no region covers is bytes.
struct Region {
  static constexpr uint64_t kNoSource = ~uint64_t{0};

  uint64_t begin;
  uint64_t length;
  unsigned width;
  uint64_t source;
};

struct Options {
  Effort effort = Effort::kFast;
  // Vector instructions to use at most; the payload does not depend on it. Lowered by tests.
  Simd simd = Simd::kAvx512;
  // Polled every few MiB; true ends the work with kCancelled.
  std::function<bool()> stop;
};

// Payload that turns `source` into `target`. Regions that overlap, descend, leave the target or have another width are
// kArgument; whether they are right decides only how small the payload gets. May throw std::bad_alloc.
Status Diff(ByteSpan source, ByteSpan target, const std::vector<Region>& regions, const Options& options,
            std::vector<uint8_t>* payload);

// Writes all `target_length` bytes of `target`, or returns kCorrupt (the target then holds anything). Trusts nothing in
// the payload. May throw std::bad_alloc; takes at most 16 MiB for each thread beside the target.
Status Patch(ByteSpan source, ByteSpan payload, uint8_t* target, size_t target_length, Simd simd);

}  // namespace dk::planes
