// FastCDC: cuts bytes where their content says so, so that an insertion moves
// the cuts around it and leaves all others alone. Normative: docs/format-chunking.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace dk::chunk {

// 64 <= min_bytes <= average_bytes <= max_bytes <= 2^30.
struct Sizes {
  uint32_t min_bytes;
  uint32_t average_bytes;
  uint32_t max_bytes;
};

// The limits that every user of Cut must check before.
bool Valid(const Sizes& sizes);

// Lengths of the pieces, which add up to `length`; no piece for no bytes. `stop` is polled once per piece;
// when it says true the list ends early.
std::vector<uint32_t> Cut(const uint8_t* data, size_t length, const Sizes& sizes, const std::function<bool()>& stop);

}  // namespace dk::chunk
