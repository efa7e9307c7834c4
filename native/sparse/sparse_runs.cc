#include "sparse/sparse_runs.h"

#include <algorithm>
#include <cstring>

#include "xor/xor_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dk::sparse {
namespace {

constexpr size_t kBlock = 64;

uint64_t Load(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

// One bit per byte that differs.
uint64_t MaskPortable(const uint8_t* a, const uint8_t* b) {
  uint64_t mask = 0;
  for (unsigned word = 0; word < 8; ++word) {
    uint64_t x = Load(a + 8 * word) ^ Load(b + 8 * word);
    if (x == 0) continue;
    x |= x >> 4;
    x |= x >> 2;
    x |= x >> 1;
    x &= 0x0101010101010101u;
    // Gathers the lowest bits of the eight bytes in the top byte.
    mask |= (x * 0x0102040810204080u >> 56) << (8 * word);
  }
  return mask;
}

#if defined(__x86_64__)
struct MaskAvx2 {
  __attribute__((target("avx2"))) uint64_t operator()(const uint8_t* a, const uint8_t* b) const {
    return Half(a, b) | static_cast<uint64_t>(Half(a + 32, b + 32)) << 32;
  }
  __attribute__((target("avx2"))) static uint32_t Half(const uint8_t* a, const uint8_t* b) {
    const __m256i equal = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)),
                                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
    return static_cast<uint32_t>(~_mm256_movemask_epi8(equal));
  }
};

struct MaskAvx512 {
  __attribute__((target("avx512f,avx512bw"))) uint64_t operator()(const uint8_t* a, const uint8_t* b) const {
    return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
  }
};
#endif

const uint8_t kZeros[kBlock] = {};

}  // namespace

inline void RunList::Push(uint32_t skip, uint32_t length) {
  ++count_;
  if (!runs_.empty() && runs_.back().skip == skip && runs_.back().length == length)
    ++runs_.back().count;
  else
    runs_.push_back({skip, length, 1});
}

inline void RunList::Add(size_t start, size_t length) {
  changed_ += length;
  const size_t gap = start - end_;
  end_ = start + length;
  if (gap >= gap_min_ || runs_.empty()) {
    Push(static_cast<uint32_t>(gap), static_cast<uint32_t>(length));
    return;
  }
  // The equal bytes in between count as changed; two runs that touch are one run in any case.
  changed_ += gap;
  const Run last = runs_.back();
  if (last.count > 1)
    --runs_.back().count;
  else
    runs_.pop_back();
  --count_;
  Push(last.skip, static_cast<uint32_t>(last.length + gap + length));
}

inline void RunList::Bits(uint64_t mask, size_t base) {
  // Scattered bytes: every run is one byte, and none touches the run before.
  if (gap_min_ == 1 && (mask & (mask << 1)) == 0 && ((mask & 1) == 0 || end_ != base || runs_.empty())) {
    for (; mask != 0; mask &= mask - 1) {
      const size_t start = base + static_cast<unsigned>(__builtin_ctzll(mask));
      Push(static_cast<uint32_t>(start - end_), 1);
      end_ = start + 1;
      ++changed_;
    }
    return;
  }
  while (mask != 0) {
    const unsigned first = static_cast<unsigned>(__builtin_ctzll(mask));
    const uint64_t rest = ~(mask >> first);
    const unsigned length = rest == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(rest));
    Add(base + first, length);
    if (first + length >= 64) return;
    mask &= ~uint64_t{0} << (first + length);
  }
}

template <typename Mask>
__attribute__((always_inline)) inline void RunList::CompareBy(const Mask& mask_of, const uint8_t* source,
                                                              const uint8_t* target, size_t base, size_t length) {
  for (size_t i = 0; i < length;) {
    // Long equal stretches go by at the speed of memory.
    i += source ? xordelta::EqualPrefix(source + i, target + i, length - i)
                : xordelta::ZeroPrefix(target + i, length - i);
    // Then masks, until a block is equal again.
    for (; i + kBlock <= length; i += kBlock) {
      const uint64_t mask = mask_of(source ? source + i : kZeros, target + i);
      if (mask == 0) break;
      Bits(mask, base + i);
    }
    if (i + kBlock > length) {
      for (; i < length; ++i) {
        if (target[i] != (source ? source[i] : 0)) Add(base + i, 1);
      }
    }
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void RunList::CompareAvx2(const uint8_t* source, const uint8_t* target, size_t base,
                                                          size_t length) {
  CompareBy(MaskAvx2{}, source, target, base, length);
}

__attribute__((target("avx512f,avx512bw"))) void RunList::CompareAvx512(const uint8_t* source, const uint8_t* target,
                                                                        size_t base, size_t length) {
  CompareBy(MaskAvx512{}, source, target, base, length);
}
#endif

bool RunList::Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length, Simd simd) {
  const size_t before = changed_;
#if defined(__x86_64__)
  const Simd level = std::min(simd, CpuSimd());
  if (level >= Simd::kAvx512)
    CompareAvx512(source, target, base, length);
  else if (level >= Simd::kAvx2)
    CompareAvx2(source, target, base, length);
  else
    CompareBy(MaskPortable, source, target, base, length);
#else
  static_cast<void>(simd);
  CompareBy(MaskPortable, source, target, base, length);
#endif
  return changed_ != before;
}

}  // namespace dk::sparse
