// The two hash functions behind one call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "binding/args.h"
#include "blake3/blake3_face.h"
#include "sha256/sha256_face.h"

namespace dk {

constexpr size_t kDigestBytes = 32;

// On the calling thread.
inline void DigestBy(Algo algo, const uint8_t* data, size_t length, uint8_t out[kDigestBytes]) {
  if (algo == Algo::kBlake3) {
    blake3::Hash(data, length, out);
  } else {
    sha256::Hash(data, length, out);
  }
}

}  // namespace dk
