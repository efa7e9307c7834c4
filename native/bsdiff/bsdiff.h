// The `bsdiff` engine: BSDIFF40 files, as bsdiff and bspatch 4.x write and read them (docs/format-bsdiff.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/byte_span.h"
#include "common/status.h"

namespace dk::bsdiff {

struct Settings {
  // Source bytes that are searched at a time, at most 2^31 - 1. A longer source is searched in windows that move
  // along with the target.
  size_t window_bytes = size_t{1} << 30;
  // Polled at least every few seconds of work; true ends it with kCancelled.
  std::function<bool()> stop;
};

// Replaces `delta` by a BSDIFF40 file. Needs 5 to 6 bytes per byte of a source window, then twice the target. Does
// its work on all pool threads; the result does not depend on their number. May throw std::bad_alloc.
Status Diff(ByteSpan source, ByteSpan target, const Settings& settings, std::vector<uint8_t>* delta);

// Length of the target that a file says it makes, with nothing decoded: kCorrupt when the header makes no sense or
// the bytes that follow cannot hold so much.
Status TargetLength(ByteSpan delta, uint64_t* length);

// Writes all `target_length` bytes of `target`, which must be what TargetLength said; else kCorrupt, and the target
// holds anything. Allocates as much again as the target. May throw std::bad_alloc.
Status Patch(ByteSpan source, ByteSpan delta, uint8_t* target, size_t target_length);

}  // namespace dk::bsdiff
