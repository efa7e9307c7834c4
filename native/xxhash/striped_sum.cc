#include "xxhash/striped_sum.h"

// Its inner functions: what is linked in elsewhere has other names.
#define XXH_INLINE_ALL
#include "xxhash/vendor/xxhash.h"

namespace dk::xxhash {

static_assert(kScramblePrime == XXH_PRIME32_1 && kStripesInRow * kStripeBytes == 1024, "as XXH3 has it");
static_assert(XXH_SECRET_DEFAULT_SIZE - kStripeBytes == kScrambleSecret, "as XXH3 has it");
static_assert(kScrambleSecret - XXH_SECRET_LASTACC_START == kLastSecret, "as XXH3 has it");

const uint64_t kStripedStart[kStripeLanes] = {XXH_PRIME32_3, XXH_PRIME64_1, XXH_PRIME64_2, XXH_PRIME64_3,
                                              XXH_PRIME64_4, XXH_PRIME32_2, XXH_PRIME64_5, XXH_PRIME32_1};

const uint8_t* StripedSecret() { return XXH3_kSecret; }

void FinishStriped(const uint64_t sums[kStripeLanes], uint8_t out[16]) {
  alignas(XXH_ACC_ALIGN) xxh_u64 lanes[kStripeLanes];
  for (size_t i = 0; i < kStripeLanes; ++i) lanes[i] = sums[i];
  const xxh_u64 length = kStripedBytes;
  XXH128_hash_t hash;
  hash.low64 = XXH3_mergeAccs(lanes, XXH3_kSecret + XXH_SECRET_MERGEACCS_START, length * XXH_PRIME64_1);
  hash.high64 =
      XXH3_mergeAccs(lanes, XXH3_kSecret + XXH_SECRET_DEFAULT_SIZE - kStripeBytes - XXH_SECRET_MERGEACCS_START,
                     ~(length * XXH_PRIME64_2));
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  for (size_t i = 0; i < 16; ++i) out[i] = canonical.digest[i];
}

}  // namespace dk::xxhash
