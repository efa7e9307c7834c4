// Comparing, gathering and hashing of a group in one pass: the bytes come out of memory once, which is what takes time.
#include "sparse/sparse_summed.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dk::sparse {

#if defined(__x86_64__)
namespace {

#define DK_VBMI2 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")))

// Forms that leave out lanes, though none is left out: of the others compilers say that they read what nobody wrote.
constexpr __mmask8 kAll = 0xff;

// The sums with one more stripe.
DK_VBMI2 inline __m512i WithStripe(__m512i sums, __m512i bytes, const uint8_t* secret) {
  const __m512i mixed = _mm512_xor_si512(bytes, _mm512_loadu_si512(secret));
  const __m512i product = _mm512_maskz_mul_epu32(kAll, mixed, _mm512_maskz_srli_epi64(kAll, mixed, 32));
  // Halves of 16 bytes change places.
  const __m512i swapped = _mm512_maskz_shuffle_epi32(0xffff, bytes, _MM_PERM_BADC);
  return _mm512_add_epi64(product, _mm512_add_epi64(sums, swapped));
}

DK_VBMI2 inline __m512i Scrambled(__m512i sums, const uint8_t* secret) {
  const __m512i prime = _mm512_set1_epi32(static_cast<int>(xxhash::kScramblePrime));
  const __m512i folded = _mm512_xor_si512(sums, _mm512_maskz_srli_epi64(kAll, sums, 47));
  const __m512i mixed = _mm512_xor_si512(folded, _mm512_loadu_si512(secret));
  const __m512i high = _mm512_maskz_mul_epu32(kAll, _mm512_maskz_srli_epi64(kAll, mixed, 32), prime);
  return _mm512_add_epi64(_mm512_maskz_mul_epu32(kAll, mixed, prime), _mm512_maskz_slli_epi64(kAll, high, 32));
}

template <bool kPlain>
DK_VBMI2 size_t TakeSummedVbmi2(const uint8_t* source, const uint8_t* target, uint64_t* masks, uint8_t* out,
                                uint64_t* sums) {
  // More changes than that in a block are rare.
  constexpr size_t kFew = 16;
  const uint8_t* const secret = xxhash::StripedSecret();
  __m512i sum = _mm512_loadu_si512(sums);
  uint8_t* at = out;
  for (size_t block = 0; block < kSummedBlocks;) {
    const size_t last = block + xxhash::kStripesInRow;
    for (const uint8_t* key = secret; block < last; ++block, source += kBlock, target += kBlock) {
      const __m512i bytes = _mm512_loadu_si512(target);
      const __m512i changes = _mm512_xor_si512(bytes, _mm512_loadu_si512(source));
      const uint64_t mask = _mm512_test_epi8_mask(changes, changes);
      masks[block] = mask;
      const __m512i values = _mm512_maskz_compress_epi8(mask, kPlain ? bytes : changes);
      const size_t count = static_cast<size_t>(_mm_popcnt_u64(mask));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm512_maskz_extracti32x4_epi32(kAll, values, 0));
      if (count > kFew) _mm512_storeu_si512(at, values);
      at += count;
      sum = WithStripe(sum, bytes, block + 1 < kSummedBlocks ? key : secret + xxhash::kLastSecret);
      key += xxhash::kSecretStep;
    }
    if (block < kSummedBlocks) sum = Scrambled(sum, secret + xxhash::kScrambleSecret);
  }
  _mm512_storeu_si512(sums, sum);
  return static_cast<size_t>(at - out);
}

size_t TakeSummedEither(const uint8_t* source, const uint8_t* target, bool plain, uint64_t* masks, uint8_t* out,
                        uint64_t* sums) {
  return plain ? TakeSummedVbmi2<true>(source, target, masks, out, sums)
               : TakeSummedVbmi2<false>(source, target, masks, out, sums);
}

#undef DK_VBMI2

}  // namespace
#endif

TakeSummed TakeSummedFor(Simd level) {
#if defined(__x86_64__)
  static const bool compresses = __builtin_cpu_supports("avx512vbmi2");
  if (level >= Simd::kAvx512 && CpuSimd() >= Simd::kAvx512 && compresses) return TakeSummedEither;
#endif
  static_cast<void>(level);
  return nullptr;
}

}  // namespace dk::sparse
