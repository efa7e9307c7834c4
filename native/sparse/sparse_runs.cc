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
__attribute__((target("avx2"))) uint64_t MaskAvx2(const uint8_t* a, const uint8_t* b) {
  const auto half = [](const uint8_t* x, const uint8_t* y) __attribute__((target("avx2"))) {
    const __m256i equal = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
                                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(y)));
    return static_cast<uint32_t>(~_mm256_movemask_epi8(equal));
  };
  return half(a, b) | static_cast<uint64_t>(half(a + 32, b + 32)) << 32;
}
#endif

using MaskOf = uint64_t (*)(const uint8_t*, const uint8_t*);

MaskOf ChooseMask(Simd simd) {
#if defined(__x86_64__)
  if (std::min(simd, CpuSimd()) >= Simd::kAvx2) return MaskAvx2;
#endif
  static_cast<void>(simd);
  return MaskPortable;
}

const uint8_t kZeros[4096] = {};

}  // namespace

inline void RunList::Add(size_t start, size_t length) {
  changed_ += length;
  if (start - end_ < gap_min_ && !runs_.empty()) {
    // The equal bytes in between count as changed; two runs that touch are one run in any case.
    changed_ += start - end_;
    runs_.back().length += static_cast<uint32_t>(start - end_ + length);
  } else {
    runs_.push_back({static_cast<uint32_t>(start - end_), static_cast<uint32_t>(length)});
  }
  end_ = start + length;
}

void RunList::Bits(uint64_t mask, size_t base) {
  // Scattered bytes: every run is one byte, and none touches the run before.
  if (gap_min_ == 1 && (mask & (mask << 1)) == 0 && ((mask & 1) == 0 || end_ != base || runs_.empty())) {
    for (; mask != 0; mask &= mask - 1) {
      const size_t start = base + static_cast<unsigned>(__builtin_ctzll(mask));
      runs_.push_back({static_cast<uint32_t>(start - end_), 1});
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

bool RunList::Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length, Simd simd) {
  const size_t before = changed_;
  const MaskOf mask_of = ChooseMask(simd);
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
  return changed_ != before;
}

}  // namespace dk::sparse
