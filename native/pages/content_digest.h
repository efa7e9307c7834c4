// The two digests a store may use, behind one choice.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blake3/blake3_face.h"
#include "sha256/sha256_face.h"

namespace dk::pages {

enum class DigestAlgo { kBlake3, kSha256 };
constexpr size_t kDigestBytes = 32;

inline void DigestOf(DigestAlgo algo, const uint8_t* data, size_t length, uint8_t* out) {
  if (algo == DigestAlgo::kSha256) {
    sha256::Hash(data, length, out);
  } else {
    blake3::Hash(data, length, out);
  }
}

}  // namespace dk::pages
