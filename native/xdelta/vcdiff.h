// The `xdelta` engine: VCDIFF (RFC 3284) with the default code table, and the two extensions that xdelta3 writes:
// a checksum per window and an application header (docs/format-vcdiff.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/byte_span.h"
#include "common/status.h"

namespace dk::vcdiff {

struct Settings {
  // Adler-32 of every window, as xdelta3 writes and checks it. Decoders that know nothing but the RFC refuse it.
  bool checksum = true;
  // Polled once per window; true ends the work with kCancelled.
  std::function<bool()> stop;
};

// Replaces `delta` by a VCDIFF file. Needs at most 512 MiB besides its inputs and its result. Does its work on all
// pool threads; the result does not depend on their number. May throw std::bad_alloc.
Status Diff(ByteSpan source, ByteSpan target, const Settings& settings, std::vector<uint8_t>* delta);

// Length of the target that a file makes. Checks all of its structure but decodes nothing: kCorrupt, or
// kUnsupported with the reason in `why` (secondary compression, a code table of its own).
Status TargetLength(ByteSpan delta, uint64_t* length, const char** why);

// Writes all `target_length` bytes of `target`, which must be what TargetLength said; else kCorrupt, and the target
// holds anything. Allocates nothing.
Status Patch(ByteSpan source, ByteSpan delta, uint8_t* target, size_t target_length);

}  // namespace dk::vcdiff
