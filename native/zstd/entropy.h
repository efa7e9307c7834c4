// Cheap evidence about data before effort is spent on it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk {

// Whether a sample of the bytes looks like noise, so that compressing them alone would be in vain.
// Inputs under 1 KiB never do: trying costs less than guessing.
bool LooksIncompressible(const uint8_t* data, size_t length);

// As LooksIncompressible, and no string of some hundred bytes seems to come again: what a coder would find nothing in.
bool LooksLikeNoise(const uint8_t* data, size_t length);

// Whether some 8-byte strings of the target occur in the context, judged by content-defined samples.
// May miss matches shorter than about 1 KiB; costs about a nanosecond per byte.
bool SharesContent(const uint8_t* target, size_t target_length, const uint8_t* context, size_t context_length);

}  // namespace dk
