// One plane into bytes: as it is, entropy coded, or by zstd, whichever a sample of it promises most of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "common/status.h"
#include "planes/planes.h"

namespace dk::planes {

// Entropy of a sample by the frequencies of its bytes, and the share of the commonest one.
struct PlaneFacts {
  double bits_per_byte = 0;
  double commonest = 0;
};

// Counts one piece of 4 bytes in 16 or fewer; all of them in a short plane.
PlaneFacts LookAt(ByteSpan plane);

// Appends a plane: its stored length and its bytes. `prefix` may be empty.
Status PutPlane(ByteSpan plane, ByteSpan prefix, Effort effort, std::vector<uint8_t>* out);

}  // namespace dk::planes
