#include "sparse/sparse_codes.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dk::sparse {
namespace {

Totals TotalsPortable(const uint32_t* values, size_t count) {
  Totals all = {0, 0};
  for (size_t i = 0; i < count; ++i) {
    all.sum += values[i];
    all.largest = std::max(all.largest, values[i]);
  }
  return all;
}

uint32_t ShiftedSumPortable(const uint32_t* values, size_t count, unsigned k) {
  uint32_t sum = 0;
  for (size_t i = 0; i < count; ++i) sum += values[i] >> k;
  return sum;
}

size_t NoFours(const uint32_t*, const uint32_t*, size_t, unsigned, uint64_t*, uint64_t*) { return 0; }

#if defined(__x86_64__)
// Forms with a mask where the others make compilers warn of what they leave undefined.
#define DK_AVX512 __attribute__((target("avx512f")))
constexpr size_t kLanes = 16;

DK_AVX512 Totals TotalsAvx512(const uint32_t* values, size_t count) {
  __m512i even = _mm512_setzero_si512(), odd = even, most = even;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const __m512i some = _mm512_loadu_si512(values + i);
    even = _mm512_add_epi64(even, _mm512_and_si512(some, _mm512_set1_epi64(0xffffffff)));
    odd = _mm512_add_epi64(odd, _mm512_maskz_srli_epi64(0xff, some, 32));
    most = _mm512_maskz_max_epu32(0xffff, most, some);
  }
  Totals all = TotalsPortable(values + i, count - i);
  alignas(64) uint64_t sums[8];
  alignas(64) uint32_t largest[kLanes];
  _mm512_store_si512(sums, _mm512_add_epi64(even, odd));
  _mm512_store_si512(largest, most);
  for (const uint64_t sum : sums) all.sum += sum;
  for (const uint32_t one : largest) all.largest = std::max(all.largest, one);
  return all;
}

DK_AVX512 uint32_t ShiftedSumAvx512(const uint32_t* values, size_t count, unsigned k) {
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(k));
  __m512i sum = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    sum = _mm512_add_epi32(sum, _mm512_maskz_srl_epi32(0xffff, _mm512_loadu_si512(values + i), shift));
  }
  alignas(64) uint32_t sums[kLanes];
  _mm512_store_si512(sums, sum);
  return ShiftedSumPortable(sums, kLanes, 0) + ShiftedSumPortable(values + i, count - i, k);
}

DK_AVX512 size_t FoursAvx512(const uint32_t* values, const uint32_t* zeros, size_t steps, unsigned k, uint64_t* codes,
                             uint64_t* bits) {
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(k));
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i low = _mm512_set1_epi32(static_cast<int>((uint32_t{1} << k) - 1));
  const __m512i least = _mm512_set1_epi32(static_cast<int>(k + 1));
  const __m512i half = _mm512_set1_epi64(0xffffffff);
  for (size_t step = 0; step < steps; ++step) {
    const __m512i value = _mm512_loadu_si512(values + step * kCodeStep);
    const __m512i times = _mm512_add_epi32(_mm512_loadu_si512(zeros + step * kCodeStep), one);
    const __m512i ones = _mm512_maskz_srl_epi32(0xffff, value, shift);
    const __m512i unary = _mm512_sub_epi32(_mm512_maskz_sllv_epi32(0xffff, one, ones), one);
    const __m512i rest = _mm512_maskz_sllv_epi32(0xffff, _mm512_and_si512(value, low), _mm512_add_epi32(ones, one));
    const __m512i code = _mm512_or_si512(unary, rest);
    const __m512i length = _mm512_add_epi32(ones, _mm512_mullo_epi32(times, least));
    // Two and two, then four. What does not fit is shifted out, and told by its length.
    const __m512i first = _mm512_and_si512(length, half);
    const __m512i both = _mm512_add_epi64(first, _mm512_maskz_srli_epi64(0xff, length, 32));
    const __m512i pair = _mm512_or_si512(_mm512_and_si512(code, half),
                                         _mm512_maskz_sllv_epi64(0xff, _mm512_maskz_srli_epi64(0xff, code, 32), first));
    const __m512i four =
        _mm512_or_si512(pair, _mm512_maskz_sllv_epi64(0xff, _mm512_maskz_unpackhi_epi64(0xff, pair, pair), both));
    const __m512i all = _mm512_add_epi64(both, _mm512_maskz_unpackhi_epi64(0xff, both, both));
    constexpr __mmask8 kEven = 0x55;
    if (_mm512_mask_cmpgt_epu64_mask(kEven, all, _mm512_set1_epi64(kFourBits)) != 0) return step;
    // Room for eight, of which four count.
    _mm512_storeu_si512(codes + step * kFours, _mm512_maskz_compress_epi64(kEven, four));
    _mm512_storeu_si512(bits + step * kFours, _mm512_maskz_compress_epi64(kEven, all));
  }
  return steps;
}

#undef DK_AVX512
#endif

}  // namespace

CodeKernels CodeKernelsFor(Simd level) {
#if defined(__x86_64__)
  if (std::min(level, CpuSimd()) >= Simd::kAvx512) return {TotalsAvx512, ShiftedSumAvx512, FoursAvx512};
#endif
  static_cast<void>(level);
  return {TotalsPortable, ShiftedSumPortable, NoFours};
}

}  // namespace dk::sparse
