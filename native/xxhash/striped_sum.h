// XXH3-128 (seed 0) of 64 KiB whose stripes are added up by somebody who reads them for something else: the sums start
// as kStripedStart, go through all 1024 stripes as StripedSecret() says, and Finish makes the digest of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk::xxhash {

constexpr size_t kStripedBytes = 65536;
constexpr size_t kStripeBytes = 64;
constexpr size_t kStripeLanes = 8;

// Stripe number n of each kStripesInRow takes the secret from n * kSecretStep on; behind each row but the last the sums
// are scrambled with what lies at kScrambleSecret. The last stripe of all takes kLastSecret.
constexpr size_t kStripesInRow = 16;
constexpr size_t kSecretStep = 8;
constexpr size_t kScrambleSecret = 128;
constexpr size_t kLastSecret = 121;
constexpr uint32_t kScramblePrime = 0x9E3779B1u;

extern const uint64_t kStripedStart[kStripeLanes];
const uint8_t* StripedSecret();

// As Hash128 of the 64 KiB.
void FinishStriped(const uint64_t sums[kStripeLanes], uint8_t out[16]);

}  // namespace dk::xxhash
