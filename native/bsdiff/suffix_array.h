// Suffix arrays in linear time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk::bsdiff {

// Longest text that 32-bit indices can sort.
constexpr size_t kSortBytesMax = 0x7fffffff;

// Fills `sa` with the starts of all `length` suffixes of `text` in lexicographic order (a suffix that is a
// prefix of another comes first). `length` is at most kSortBytesMax. Besides `sa` (4 bytes per byte of text) it
// needs almost nothing. May throw std::bad_alloc.
void SortSuffixes(const uint8_t* text, int32_t* sa, size_t length);

}  // namespace dk::bsdiff
