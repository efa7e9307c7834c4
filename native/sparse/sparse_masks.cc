#include "sparse/sparse_masks.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace dk::sparse {
namespace {

uint64_t Load(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

void MasksPortable(const uint8_t* source, const uint8_t* target, size_t blocks, uint64_t* masks) {
  for (size_t block = 0; block < blocks; ++block) {
    uint64_t mask = 0;
    for (unsigned word = 0; word < 8; ++word) {
      const size_t at = block * kBlock + 8 * word;
      uint64_t x = Load(source + at) ^ Load(target + at);
      if (x == 0) continue;
      x |= x >> 4;
      x |= x >> 2;
      x |= x >> 1;
      x &= 0x0101010101010101u;
      // Gathers the lowest bits of the eight bytes in the top byte.
      mask |= (x * 0x0102040810204080u >> 56) << (8 * word);
    }
    masks[block] = mask;
  }
}

size_t GatherPortable(const uint8_t* source, const uint8_t* target, const uint64_t* masks, size_t blocks, bool plain,
                      uint8_t* out) {
  uint8_t* at = out;
  for (size_t block = 0; block < blocks; ++block, source += kBlock, target += kBlock) {
    uint64_t mask = masks[block];
    if (mask == ~uint64_t{0}) {
      for (size_t i = 0; i < kBlock; ++i) at[i] = plain ? target[i] : target[i] ^ source[i];
      at += kBlock;
      continue;
    }
    for (; mask != 0; mask &= mask - 1) {
      const unsigned i = static_cast<unsigned>(__builtin_ctzll(mask));
      *at++ = plain ? target[i] : target[i] ^ source[i];
    }
  }
  return static_cast<size_t>(at - out);
}

template <MaskBlocks kMasks, GatherBlocks kGather>
size_t TakeTwice(const uint8_t* source, const uint8_t* target, size_t blocks, bool plain, uint64_t* masks,
                 uint8_t* out) {
  kMasks(source, target, blocks, masks);
  return kGather(source, target, masks, blocks, plain, out);
}

size_t RunsPortable(const uint64_t* masks, size_t blocks, uint32_t* skips, uint32_t* extras, size_t* end) {
  size_t found = 0;
  uint32_t behind = 0;  // where the run before ends
  for (size_t block = 0; block < blocks; ++block) {
    uint64_t mask = masks[block];
    while (mask != 0) {
      const unsigned bit = static_cast<unsigned>(__builtin_ctzll(mask));
      const uint32_t first = static_cast<uint32_t>(block * kBlock) + bit;
      const uint64_t rest = ~(mask >> bit);
      const unsigned length = rest == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(rest));
      if (first == behind && found > 0) {
        extras[found - 1] += length;
      } else {
        skips[found] = first - behind;
        extras[found++] = length - 1;
      }
      behind = first + length;
      mask = bit + length >= kBlock ? 0 : mask & ~uint64_t{0} << (bit + length);
    }
  }
  *end = behind;
  return found;
}

#if defined(__x86_64__)
// Blocks that are passed over together when none of them has anything.
constexpr size_t kLook = 8;

__attribute__((target("avx2"))) uint32_t HalfAvx2(const uint8_t* a, const uint8_t* b) {
  const __m256i equal = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)),
                                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
  return ~static_cast<uint32_t>(_mm256_movemask_epi8(equal));
}

__attribute__((target("avx2"))) void MasksAvx2(const uint8_t* source, const uint8_t* target, size_t blocks,
                                               uint64_t* masks) {
  for (size_t block = 0; block < blocks; ++block, source += kBlock, target += kBlock) {
    masks[block] = HalfAvx2(source, target) | static_cast<uint64_t>(HalfAvx2(source + 32, target + 32)) << 32;
  }
}

__attribute__((target("avx512f,avx512bw"))) void MasksAvx512(const uint8_t* source, const uint8_t* target,
                                                             size_t blocks, uint64_t* masks) {
  for (size_t block = 0; block < blocks; ++block, source += kBlock, target += kBlock) {
    masks[block] = _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(source), _mm512_loadu_si512(target));
  }
}

__attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt"))) size_t GatherVbmi2(const uint8_t* source,
                                                                                  const uint8_t* target,
                                                                                  const uint64_t* masks, size_t blocks,
                                                                                  bool plain, uint8_t* out) {
  uint8_t* at = out;
  // Whether a block has anything is no question here where many have: guesses that fail cost more than the work.
  uint64_t all = 0;
  for (size_t block = 0; block < blocks; ++block, source += kBlock, target += kBlock) {
    if (block % kLook == 0) {
      const size_t end = block + kLook < blocks ? block + kLook : blocks;
      all = 0;
      for (size_t i = block; i < end; ++i) all |= masks[i];
    }
    if (all == 0) continue;
    const uint64_t mask = masks[block];
    __m512i bytes = _mm512_loadu_si512(target);
    if (!plain) bytes = _mm512_xor_si512(bytes, _mm512_loadu_si512(source));
    // Through a register: stores that compress are slow on some processors.
    _mm512_storeu_si512(at, _mm512_maskz_compress_epi8(mask, bytes));
    at += _mm_popcnt_u64(mask);
  }
  return static_cast<size_t>(at - out);
}
template <bool kPlain>
__attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt"))) size_t TakeVbmi2(const uint8_t* source,
                                                                                const uint8_t* target, size_t blocks,
                                                                                uint64_t* masks, uint8_t* out) {
  uint8_t* at = out;
  for (size_t block = 0; block < blocks; ++block, source += kBlock, target += kBlock) {
    const __m512i bytes = _mm512_loadu_si512(target);
    const __m512i changes = _mm512_xor_si512(bytes, _mm512_loadu_si512(source));
    const uint64_t mask = _mm512_test_epi8_mask(changes, changes);
    masks[block] = mask;
    _mm512_storeu_si512(at, _mm512_maskz_compress_epi8(mask, kPlain ? bytes : changes));
    at += _mm_popcnt_u64(mask);
  }
  return static_cast<size_t>(at - out);
}

__attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt"))) size_t TakeVbmi2Either(const uint8_t* source,
                                                                                      const uint8_t* target,
                                                                                      size_t blocks, bool plain,
                                                                                      uint64_t* masks, uint8_t* out) {
  return plain ? TakeVbmi2<true>(source, target, blocks, masks, out)
               : TakeVbmi2<false>(source, target, blocks, masks, out);
}

#define DK_VBMI2 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")))

// Where the set bits are; room for a whole block behind them. Returns how many.
DK_VBMI2 inline size_t PointsVbmi2(const uint64_t* masks, size_t blocks, uint16_t* points) {
  alignas(64) static const uint8_t counted[kBlock] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                                      32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                                      48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const __m512i numbers = _mm512_load_si512(counted);
  uint16_t* out = points;
  __m256i base = _mm256_setzero_si256();
  for (size_t block = 0; block < blocks; ++block, base = _mm256_add_epi16(base, _mm256_set1_epi16(kBlock))) {
    const uint64_t mask = masks[block];
    const size_t count = static_cast<size_t>(_mm_popcnt_u64(mask));
    const __m512i bits = _mm512_maskz_compress_epi8(mask, numbers);
    // Not casts: compilers warn of what they leave undefined.
    const __m256i low = _mm512_maskz_extracti64x4_epi64(0xff, bits, 0);
    const __m256i first = _mm256_add_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(low)), base);
    auto* const to = reinterpret_cast<__m256i*>(out);
    _mm256_storeu_si256(to, first);
    out += count;
    if (count <= 16) continue;
    const __m256i high = _mm512_maskz_extracti64x4_epi64(0xff, bits, 1);
    _mm256_storeu_si256(to + 1, _mm256_add_epi16(_mm256_cvtepu8_epi16(_mm256_extracti128_si256(low, 1)), base));
    _mm256_storeu_si256(to + 2, _mm256_add_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(high)), base));
    _mm256_storeu_si256(to + 3, _mm256_add_epi16(_mm256_cvtepu8_epi16(_mm256_extracti128_si256(high, 1)), base));
  }
  return static_cast<size_t>(out - points);
}

DK_VBMI2 inline void WidenVbmi2(__m512i numbers, uint32_t* out) {
  _mm512_storeu_si512(out, _mm512_maskz_cvtepu16_epi32(0xffff, _mm512_maskz_extracti64x4_epi64(0xff, numbers, 0)));
  _mm512_storeu_si512(out + 16, _mm512_maskz_cvtepu16_epi32(0xffff, _mm512_maskz_extracti64x4_epi64(0xff, numbers, 1)));
}

// Points that follow one another are one run: among the gaps between points those that are not zero begin one.
DK_VBMI2 size_t RunsVbmi2(const uint64_t* masks, size_t blocks, uint32_t* skips, uint32_t* extras, size_t* end) {
  constexpr size_t kLanes = 32;
  uint16_t room[1 + kRunBlocksMax * kBlock + kBlock];
  uint16_t begins[1 + kRunBlocksMax * kBlock + kLanes];  // number of the point that a run begins with
  uint16_t* const points = room + 1;
  const size_t count = PointsVbmi2(masks, blocks, points);
  if (count == 0) return 0;
  // A first point at 0 begins a run as well.
  room[0] = static_cast<uint16_t>(points[0] == 0 ? 0xfffe : 0xffff);
  const __m512i one = _mm512_set1_epi16(1);
  alignas(64) static const uint16_t counted[kLanes] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                       16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  __m512i numbers = _mm512_load_si512(counted);
  size_t found = 0;
  for (size_t at = 0; at < count; at += kLanes) {
    const __m512i gaps =
        _mm512_sub_epi16(_mm512_sub_epi16(_mm512_loadu_si512(points + at), _mm512_loadu_si512(points + at - 1)), one);
    const uint32_t inside = count - at < kLanes ? (uint32_t{1} << (count - at)) - 1 : ~uint32_t{0};
    const uint32_t starts = _mm512_test_epi16_mask(gaps, gaps) & inside;
    WidenVbmi2(_mm512_maskz_compress_epi16(starts, gaps), skips + found);
    _mm512_storeu_si512(begins + found, _mm512_maskz_compress_epi16(starts, numbers));
    found += static_cast<size_t>(_mm_popcnt_u32(starts));
    numbers = _mm512_add_epi16(numbers, _mm512_set1_epi16(kLanes));
  }
  skips[0] = points[0];
  *end = size_t{points[count - 1]} + 1;
  begins[found] = static_cast<uint16_t>(count);
  for (size_t at = 0; at < found; at += kLanes) {
    const __m512i lengths = _mm512_sub_epi16(_mm512_loadu_si512(begins + at + 1), _mm512_loadu_si512(begins + at));
    WidenVbmi2(_mm512_sub_epi16(lengths, one), extras + at);
  }
  return found;
}

#undef DK_VBMI2
#elif defined(__aarch64__)
void MasksNeon(const uint8_t* source, const uint8_t* target, size_t blocks, uint64_t* masks) {
  const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bits = vld1q_u8(weights);
  for (size_t block = 0; block < blocks; ++block, source += kBlock, target += kBlock) {
    uint8x16_t part[4];
    for (size_t i = 0; i < 4; ++i) {
      part[i] = vbicq_u8(bits, vceqq_u8(vld1q_u8(source + 16 * i), vld1q_u8(target + 16 * i)));
    }
    const uint8x16_t pairs = vpaddq_u8(vpaddq_u8(part[0], part[1]), vpaddq_u8(part[2], part[3]));
    masks[block] = vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)), 0);
  }
}
#endif

}  // namespace

MaskKernels MaskKernelsFor(Simd level) {
  const Simd most = std::min(level, CpuSimd());
#if defined(__x86_64__)
  static const bool compresses = __builtin_cpu_supports("avx512vbmi2");
  if (most >= Simd::kAvx512 && compresses) return {MasksAvx512, GatherVbmi2, TakeVbmi2Either, RunsVbmi2};
  if (most >= Simd::kAvx512) {
    return {MasksAvx512, GatherPortable, TakeTwice<MasksAvx512, GatherPortable>, RunsPortable};
  }
  if (most >= Simd::kAvx2) return {MasksAvx2, GatherPortable, TakeTwice<MasksAvx2, GatherPortable>, RunsPortable};
#elif defined(__aarch64__)
  if (most >= Simd::kNeon) return {MasksNeon, GatherPortable, TakeTwice<MasksNeon, GatherPortable>, RunsPortable};
#endif
  static_cast<void>(most);
  return {MasksPortable, GatherPortable, TakeTwice<MasksPortable, GatherPortable>, RunsPortable};
}

}  // namespace dk::sparse
