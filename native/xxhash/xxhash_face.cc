#include "xxhash/xxhash_face.h"

#include "xxhash/vendor/xxhash.h"

// On x86 the same functions are picked at run time by what the processor offers.
#if defined(__x86_64__)
#include "xxhash/vendor/xxh_x86dispatch.h"
#endif

namespace dk::xxhash {

uint64_t Hash64(const uint8_t* data, size_t length, uint64_t seed) {
  return seed == 0 ? XXH3_64bits(data, length) : XXH3_64bits_withSeed(data, length, seed);
}

void Hash128(const uint8_t* data, size_t length, uint64_t seed, uint8_t out[16]) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(data, length, seed);
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  for (size_t i = 0; i < 16; ++i) out[i] = canonical.digest[i];
}

#define DK_TEXT_(x) #x
#define DK_TEXT(x) DK_TEXT_(x)

const char* Version() {
  return DK_TEXT(XXH_VERSION_MAJOR) "." DK_TEXT(XXH_VERSION_MINOR) "." DK_TEXT(XXH_VERSION_RELEASE);
}

}  // namespace dk::xxhash
