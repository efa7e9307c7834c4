// The `align` engine: the target is walked along diagonals of the source (runs at a fixed distance between the
// two), with small differences kept apart as subtractions and the rest as literals that are compressed with the
// source's neighbouring bytes as context. Byte format: docs/format-align.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/cpu.h"
#include "common/status.h"
#include "zstd/zstd_face.h"

namespace dk::align {

enum class Effort { kFast, kBalanced, kMax };

struct Options {
  Effort effort = Effort::kFast;
  // Vector instructions to use at most; the payload does not depend on it. Lowered by tests.
  Simd simd = Simd::kAvx512;
  // Polled every few MiB; true ends the work with kCancelled.
  std::function<bool()> stop;
};

// Payload that turns `source` into `target`. Holds about an eighth of the source beside source and target.
// May throw std::bad_alloc.
Status Diff(zstd::Span source, zstd::Span target, const Options& options, std::vector<uint8_t>* payload);

// Writes all `target_length` bytes of `target`, or returns kCorrupt (the target then holds anything).
// Trusts nothing in the payload. May throw std::bad_alloc; takes at most 5 windows (320 MiB) beside the target,
// and less than 6 times the target's length for smaller ones.
Status Patch(zstd::Span source, zstd::Span payload, uint8_t* target, size_t target_length);

}  // namespace dk::align
