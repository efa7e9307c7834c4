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

// The bits where runs begin and end, in a block between two others.
uint64_t FirstBits(uint64_t mask, uint64_t before) { return mask & ~(mask << 1 | before >> 63); }
uint64_t LastBits(uint64_t mask, uint64_t behind) { return mask & ~(mask >> 1 | behind << 63); }

uint16_t* PutBits(uint64_t bits, size_t base, uint16_t* out) {
  for (; bits != 0; bits &= bits - 1) *out++ = static_cast<uint16_t>(base + static_cast<size_t>(__builtin_ctzll(bits)));
  return out;
}

size_t BoundsPortable(const uint64_t* masks, size_t blocks, uint16_t* firsts, uint16_t* lasts) {
  uint16_t* const begin = firsts;
  for (size_t block = 0; block < blocks; ++block) {
    if (masks[block] == 0) continue;
    firsts = PutBits(FirstBits(masks[block], block > 0 ? masks[block - 1] : 0), block * kBlock, firsts);
    lasts = PutBits(LastBits(masks[block], block + 1 < blocks ? masks[block + 1] : 0), block * kBlock, lasts);
  }
  return static_cast<size_t>(firsts - begin);
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

// Numbers of set bits, of which there are at most 32; room for 32 numbers.
__attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt"))) inline uint16_t* PutBitsVbmi2(uint64_t bits,
                                                                                             __m512i numbers,
                                                                                             __m512i base,
                                                                                             uint16_t* out) {
  // Not a cast: compilers warn of what it leaves undefined.
  const __m256i low = _mm512_maskz_extracti64x4_epi64(0xff, _mm512_maskz_compress_epi8(bits, numbers), 0);
  _mm512_storeu_si512(out, _mm512_add_epi16(_mm512_cvtepu8_epi16(low), base));
  return out + _mm_popcnt_u64(bits);
}

__attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt"))) size_t BoundsVbmi2(const uint64_t* masks, size_t blocks,
                                                                                  uint16_t* firsts, uint16_t* lasts) {
  alignas(64) static const uint8_t counted[kBlock] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                                      32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                                      48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const __m512i numbers = _mm512_load_si512(counted);
  uint16_t* const begin = firsts;
  uint64_t before = 0;
  uint64_t all = 0;       // of some blocks
  uint64_t touching = 0;  // bits beside others in them
  for (size_t block = 0; block < blocks; ++block) {
    if (block % kLook == 0) {
      const size_t end = block + kLook < blocks ? block + kLook : blocks;
      all = 0;
      touching = 0;
      for (size_t i = block; i < end; ++i) {
        const uint64_t behind = i + 1 < blocks ? masks[i + 1] : 0;
        all |= masks[i];
        touching |= masks[i] & (masks[i] >> 1 | behind << 63);
      }
      touching |= masks[block] & before >> 63;
    }
    const uint64_t mask = masks[block];
    const __m512i base = _mm512_set1_epi16(static_cast<short>(block * kBlock));
    if (all != 0 && touching == 0) {
      // Single bytes: first and last are the same.
      const __m256i low = _mm512_maskz_extracti64x4_epi64(0xff, _mm512_maskz_compress_epi8(mask, numbers), 0);
      const __m512i found = _mm512_add_epi16(_mm512_cvtepu8_epi16(low), base);
      _mm512_storeu_si512(firsts, found);
      _mm512_storeu_si512(lasts, found);
      const size_t count = static_cast<size_t>(_mm_popcnt_u64(mask));
      firsts += count;
      lasts += count;
    } else if (all != 0) {
      const uint64_t behind = block + 1 < blocks ? masks[block + 1] : 0;
      firsts = PutBitsVbmi2(FirstBits(mask, before), numbers, base, firsts);
      lasts = PutBitsVbmi2(LastBits(mask, behind), numbers, base, lasts);
    }
    before = mask;
  }
  return static_cast<size_t>(firsts - begin);
}
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
  if (most >= Simd::kAvx512 && compresses) return {MasksAvx512, GatherVbmi2, TakeVbmi2Either, BoundsVbmi2};
  if (most >= Simd::kAvx512) {
    return {MasksAvx512, GatherPortable, TakeTwice<MasksAvx512, GatherPortable>, BoundsPortable};
  }
  if (most >= Simd::kAvx2) return {MasksAvx2, GatherPortable, TakeTwice<MasksAvx2, GatherPortable>, BoundsPortable};
#elif defined(__aarch64__)
  if (most >= Simd::kNeon) return {MasksNeon, GatherPortable, TakeTwice<MasksNeon, GatherPortable>, BoundsPortable};
#endif
  static_cast<void>(most);
  return {MasksPortable, GatherPortable, TakeTwice<MasksPortable, GatherPortable>, BoundsPortable};
}

}  // namespace dk::sparse
