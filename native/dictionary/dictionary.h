// Trains a dictionary for zstd from samples of one kind: the stretches whose 8-byte strings occur in most samples.
// Raw content without entropy tables; the best stretches stand at the end, where they are cheapest to refer to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/byte_span.h"

namespace dk::dictionary {

// `lengths` add up to the samples. At most `bytes_max` bytes, fewer when the samples share less. `stop` is polled;
// true ends the work with an empty result. The same samples give the same bytes.
std::vector<uint8_t> Train(ByteSpan samples, const std::vector<uint32_t>& lengths, size_t bytes_max,
                           const std::function<bool()>& stop = {});

}  // namespace dk::dictionary
