// The `xor` engine: for state of fixed layout, where bytes change in place.
//
// Payload: one zstd frame (with content size) whose content is
//
//   content := varint runCount, run*, bytes
//   run     := varint skip, varint length        skip counts from the end of the run before
//   bytes   := target XOR source of all runs, in order, as many as the lengths add up to
//
// Varints are unsigned LEB128 in shortest form. The source counts as zero beyond
// its end; outside the runs the target equals that. The target's length is not in
// the payload. Every length is at least 1; runs lie inside the target. Runs are
// kept at least 8 bytes apart by the encoder, so the content is never longer than
// 2 * targetBytes + 64, and decoders may refuse what is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/status.h"
#include "zstd/zstd_face.h"

namespace dk::xordelta {

// May throw std::bad_alloc. `level` is zstd's, 1 .. 19. `stop` is polled as zstd::Settings says.
Status Diff(zstd::Span source, zstd::Span target, int level, std::vector<uint8_t>* payload,
            const std::function<bool()>& stop = {});

// Whether sampled places of the two are equal at the same offset, so that Diff can save anything on data that
// does not compress by itself.
bool SharesOffsets(zstd::Span source, zstd::Span target);

// Writes all `target_length` bytes of `target`, or returns kCorrupt (the target then holds anything).
// May throw std::bad_alloc; never allocates more than 2 * target_length + 64 bytes.
Status Patch(zstd::Span source, zstd::Span payload, uint8_t* target, size_t target_length);

}  // namespace dk::xordelta
