// The `sparse` engine: for state of fixed layout of which few, scattered bytes change. Positions cost what they are
// worth (gaps in Rice code), values are stored once. Format: docs/format-sparse.md.
//
// Diff and Patch can give a digest of the target on the way: the values of the source's 64 KiB groups answer for every
// group that did not change, so that hashing costs what changed, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/byte_span.h"
#include "common/cpu.h"
#include "common/status.h"
#include "sparse/group_digest.h"

namespace dk::sparse {

struct Options {
  int level = 3;              // zstd's, 1 .. 19
  Simd simd = Simd::kAvx512;  // at most this, for tests; the payload does not depend on it
  // Polled every few MiB; true ends the work with kCancelled.
  std::function<bool()> stop;
  // More bytes that differ end the work with kDeclined, before anything is coded.
  size_t changed_max = SIZE_MAX;
};

// May throw std::bad_alloc. With `digested`, `source_groups` may help (of another length than the source has: ignored).
Status Diff(ByteSpan source, ByteSpan target, const Options& options, std::vector<uint8_t>* payload,
            ByteSpan source_groups = {}, Digested* digested = nullptr);

// Writes all `target_length` bytes of `target`, or returns kCorrupt (the target then holds anything). Takes memory
// for at most `target_length` bytes beside it. A payload of more than `changed_max` bytes that differ is kDeclined
// before anything is written. What is made does not depend on `simd`.
Status Patch(ByteSpan source, ByteSpan payload, uint8_t* target, size_t target_length, ByteSpan source_groups = {},
             Digested* digested = nullptr, size_t changed_max = SIZE_MAX, Simd simd = Simd::kAvx512);

// Digest and groups of bytes on their own; with `copy` (as long as the data) the bytes are copied there on the way.
void Digest(ByteSpan data, Digested* digested, uint8_t* copy = nullptr);

}  // namespace dk::sparse
