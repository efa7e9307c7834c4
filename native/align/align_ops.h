// From copies to the columns of one window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "align/align_format.h"
#include "align/align_kernels.h"
#include "align/align_match.h"

namespace dk::align {

struct WindowParts {
  uint64_t copies = 0;
  uint64_t runs = 0;
  std::vector<uint8_t> numbers[kColumns];
  std::vector<uint8_t> differences[kDifferences];
  std::vector<uint8_t> literals;
  std::vector<uint8_t> context;

  size_t NumberBytes() const {
    size_t bytes = 0;
    for (const std::vector<uint8_t>& column : numbers) bytes += column.size();
    return bytes;
  }
  size_t DifferenceBytes() const {
    size_t bytes = 0;
    for (const std::vector<uint8_t>& column : differences) bytes += column.size();
    return bytes;
  }
};

// Columns of the target's bytes [begin, end). `first` is the first copy that reaches beyond `begin`.
WindowParts MakeWindow(zstd::Span source, zstd::Span target, const Kernels& kernels, const std::vector<Copy>& copies,
                       size_t begin, size_t end, size_t first);

}  // namespace dk::align
