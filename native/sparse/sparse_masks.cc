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
  if (most >= Simd::kAvx512) return {MasksAvx512, compresses ? GatherVbmi2 : GatherPortable};
  if (most >= Simd::kAvx2) return {MasksAvx2, GatherPortable};
#elif defined(__aarch64__)
  if (most >= Simd::kNeon) return {MasksNeon, GatherPortable};
#endif
  static_cast<void>(most);
  return {MasksPortable, GatherPortable};
}

}  // namespace dk::sparse
