#include "align/align_kernels.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace dk::align {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

uint64_t Load(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

// Finishes what a vector loop began: `i` bytes are known to be equal.
size_t RunTail(const uint8_t* a, const uint8_t* b, size_t length, size_t i) {
  for (; i + 8 <= length; i += 8) {
    const uint64_t difference = Load(a + i) ^ Load(b + i);
    if (difference != 0) return i + static_cast<size_t>(__builtin_ctzll(difference)) / 8;
  }
  while (i < length && a[i] == b[i]) ++i;
  return i;
}

size_t BackTail(const uint8_t* a_end, const uint8_t* b_end, size_t length, size_t i) {
  for (; i + 8 <= length; i += 8) {
    const uint64_t difference = Load(a_end - i - 8) ^ Load(b_end - i - 8);
    if (difference != 0) return i + static_cast<size_t>(__builtin_clzll(difference)) / 8;
  }
  while (i < length && a_end[-1 - static_cast<ptrdiff_t>(i)] == b_end[-1 - static_cast<ptrdiff_t>(i)]) ++i;
  return i;
}

// One bit per byte of the word that is zero, in the low 8 bits. Exact: no carry leaves a byte.
uint64_t ZeroBytes(uint64_t word) {
  constexpr uint64_t kLow7 = 0x7f7f7f7f7f7f7f7f;
  const uint64_t high = ~(((word & kLow7) + kLow7) | word | kLow7);
  return (high >> 7) * 0x0102040810204080 >> 56;
}

size_t RunPortable(const uint8_t* a, const uint8_t* b, size_t length) { return RunTail(a, b, length, 0); }
size_t BackPortable(const uint8_t* a_end, const uint8_t* b_end, size_t length) {
  return BackTail(a_end, b_end, length, 0);
}
size_t BlockPortable(const uint8_t* a, const uint8_t* b, size_t length) {
  for (size_t i = 0; i + kBlockBytes <= length; i += kBlockBytes) {
    uint64_t any = 0;
    for (size_t k = 0; k < kBlockBytes; k += 8) any |= Load(a + i + k) ^ Load(b + i + k);
    if (any == 0) return i;
  }
  return length;
}
uint64_t MaskPortable(const uint8_t* a, const uint8_t* b) {
  uint64_t mask = 0;
  for (unsigned k = 0; k < 64; k += 8) mask |= ZeroBytes(Load(a + k) ^ Load(b + k)) << k;
  return mask;
}

// One body per operation, over the primitive of a level: `Full(a, b)` says whether Step bytes are equal.
// Macros instead of templates, because a function that uses an instruction set must carry its target attribute.
#define DK_ALIGN_KERNELS(Name, TARGET, Step, Full)                                            \
  TARGET size_t Run##Name(const uint8_t* a, const uint8_t* b, size_t length) {                \
    size_t i = 0;                                                                             \
    while (i + (Step) <= length && Full(a + i, b + i)) i += (Step);                           \
    return RunTail(a, b, length, i);                                                          \
  }                                                                                           \
  TARGET size_t Back##Name(const uint8_t* a_end, const uint8_t* b_end, size_t length) {       \
    size_t i = 0;                                                                             \
    while (i + (Step) <= length && Full(a_end - i - (Step), b_end - i - (Step))) i += (Step); \
    return BackTail(a_end, b_end, length, i);                                                 \
  }                                                                                           \
  TARGET size_t Block##Name(const uint8_t* a, const uint8_t* b, size_t length) {              \
    for (size_t i = 0; i + kBlockBytes <= length; i += kBlockBytes) {                         \
      if (Block32##Name(a + i, b + i)) return i;                                              \
    }                                                                                         \
    return length;                                                                            \
  }

#if defined(__x86_64__)
#define DK_AVX2 __attribute__((target("avx2")))
#define DK_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define DK_SSE2

__m128i Load128(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
uint64_t Mask16(const uint8_t* a, const uint8_t* b) {
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(Load128(a), Load128(b))));
}
bool Block32Sse2(const uint8_t* a, const uint8_t* b) { return (Mask16(a, b) & Mask16(a + 16, b + 16)) == 0xffff; }
bool FullSse2(const uint8_t* a, const uint8_t* b) { return Block32Sse2(a, b) && Block32Sse2(a + 32, b + 32); }
uint64_t Mask64Sse2(const uint8_t* a, const uint8_t* b) {
  return Mask16(a, b) | Mask16(a + 16, b + 16) << 16 | Mask16(a + 32, b + 32) << 32 | Mask16(a + 48, b + 48) << 48;
}

DK_AVX2 __m256i Load256(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
DK_AVX2 __m256i Differ256(const uint8_t* a, const uint8_t* b) { return _mm256_xor_si256(Load256(a), Load256(b)); }
DK_AVX2 bool Block32Avx2(const uint8_t* a, const uint8_t* b) {
  const __m256i any = Differ256(a, b);
  return _mm256_testz_si256(any, any) != 0;
}
// Four vectors per turn hide the latency of the test.
DK_AVX2 bool FullAvx2(const uint8_t* a, const uint8_t* b) {
  const __m256i low = _mm256_or_si256(Differ256(a, b), Differ256(a + 32, b + 32));
  const __m256i high = _mm256_or_si256(Differ256(a + 64, b + 64), Differ256(a + 96, b + 96));
  const __m256i any = _mm256_or_si256(low, high);
  return _mm256_testz_si256(any, any) != 0;
}
DK_AVX2 uint64_t Mask32(const uint8_t* a, const uint8_t* b) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(Load256(a), Load256(b))));
}
DK_AVX2 uint64_t Mask64Avx2(const uint8_t* a, const uint8_t* b) { return Mask32(a, b) | Mask32(a + 32, b + 32) << 32; }

DK_AVX512 __m512i Differ512(const uint8_t* a, const uint8_t* b) {
  return _mm512_xor_si512(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
}
DK_AVX512 bool Block32Avx512(const uint8_t* a, const uint8_t* b) {
  const __m256i any = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)),
                                       _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
  return _mm256_testz_si256(any, any) != 0;
}
DK_AVX512 bool FullAvx512(const uint8_t* a, const uint8_t* b) {
  const __m512i any = _mm512_or_si512(Differ512(a, b), Differ512(a + 64, b + 64));
  return _mm512_test_epi64_mask(any, any) == 0;
}
DK_AVX512 uint64_t Mask64Avx512(const uint8_t* a, const uint8_t* b) {
  return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
}

DK_ALIGN_KERNELS(Sse2, DK_SSE2, 64, FullSse2)
DK_ALIGN_KERNELS(Avx2, DK_AVX2, 128, FullAvx2)
DK_ALIGN_KERNELS(Avx512, DK_AVX512, 128, FullAvx512)
#elif defined(__aarch64__)
#define DK_NEON

uint8x16_t Equal16(const uint8_t* a, const uint8_t* b) { return vceqq_u8(vld1q_u8(a), vld1q_u8(b)); }
bool Block32Neon(const uint8_t* a, const uint8_t* b) {
  return vminvq_u8(vandq_u8(Equal16(a, b), Equal16(a + 16, b + 16))) == 0xff;
}
bool FullNeon(const uint8_t* a, const uint8_t* b) {
  const uint8x16_t low = vandq_u8(Equal16(a, b), Equal16(a + 16, b + 16));
  const uint8x16_t high = vandq_u8(Equal16(a + 32, b + 32), Equal16(a + 48, b + 48));
  return vminvq_u8(vandq_u8(low, high)) == 0xff;
}
// Each byte keeps the bit of its place, then three pairwise sums gather eight bytes into one.
uint64_t Mask64Neon(const uint8_t* a, const uint8_t* b) {
  static const uint8_t kPlaces[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t places = vld1q_u8(kPlaces);
  const uint8x16_t low = vpaddq_u8(vandq_u8(Equal16(a, b), places), vandq_u8(Equal16(a + 16, b + 16), places));
  const uint8x16_t high =
      vpaddq_u8(vandq_u8(Equal16(a + 32, b + 32), places), vandq_u8(Equal16(a + 48, b + 48), places));
  const uint8x16_t both = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(both, both)), 0);
}
DK_ALIGN_KERNELS(Neon, DK_NEON, 64, FullNeon)
#endif

const Kernels kPortable = {RunPortable, BackPortable, BlockPortable, MaskPortable};
#if defined(__x86_64__)
const Kernels kSse2 = {RunSse2, BackSse2, BlockSse2, Mask64Sse2};
const Kernels kAvx2 = {RunAvx2, BackAvx2, BlockAvx2, Mask64Avx2};
const Kernels kAvx512 = {RunAvx512, BackAvx512, BlockAvx512, Mask64Avx512};
#elif defined(__aarch64__)
const Kernels kNeon = {RunNeon, BackNeon, BlockNeon, Mask64Neon};
#endif

}  // namespace

const Kernels& KernelsFor(Simd level) {
  const Simd usable = level < CpuSimd() ? level : CpuSimd();
#if defined(__x86_64__)
  if (usable == Simd::kAvx512) return kAvx512;
  if (usable == Simd::kAvx2) return kAvx2;
  if (usable == Simd::kSse2) return kSse2;
#elif defined(__aarch64__)
  if (usable == Simd::kNeon) return kNeon;
#endif
  return kPortable;
}

}  // namespace dk::align
