// Comparing two byte strings at the speed of memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk::xordelta {

// How many leading bytes of `a` and `b` are equal, at most `length`.
size_t EqualPrefix(const uint8_t* a, const uint8_t* b, size_t length);

// How many leading bytes are zero, at most `length`.
size_t ZeroPrefix(const uint8_t* a, size_t length);

}  // namespace dk::xordelta
