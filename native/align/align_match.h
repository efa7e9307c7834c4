// Finds which parts of the target are, nearly or exactly, parts of the source.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "align/align_kernels.h"
#include "common/status.h"
#include "zstd/zstd_face.h"

namespace dk::align {

// Part of the target that lies on one diagonal of the source. Its bytes may differ.
struct Copy {
  size_t target;
  size_t source;
  size_t length;
};

struct MatchSettings {
  size_t window = 32;                // bytes that a seed must share: 16 or 32
  size_t fine_step = 32;             // distance of indexed places in source bytes not matched yet
  size_t fine_bytes_max = SIZE_MAX;  // of more such bytes only every second place is indexed
  size_t coarse_step =
      4096;                // and in matched ones, where little is to be found: a power of two, a multiple of fine_step
  unsigned ways = 4;       // places remembered for equal content
  size_t length_min = 32;  // equal bytes that make a match near the last diagonal worth its numbers
  size_t far_length_min = 32;
};

// Copies in order of the target, not overlapping there. Deterministic. kMemory or kCancelled on failure.
Status FindCopies(zstd::Span source, zstd::Span target, const MatchSettings& settings, const Kernels& kernels,
                  const std::function<bool()>& stop, std::vector<Copy>* copies);

}  // namespace dk::align
