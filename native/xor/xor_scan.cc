#include "xor/xor_scan.h"

#include <algorithm>
#include <cstring>

#include "common/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dk::xordelta {
namespace {

uint64_t Load(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

size_t FirstByte(uint64_t difference) { return static_cast<size_t>(__builtin_ctzll(difference)) / 8; }

size_t EqualWords(const uint8_t* a, const uint8_t* b, size_t length, size_t i) {
  for (; i + 8 <= length; i += 8) {
    const uint64_t difference = Load(a + i) ^ Load(b + i);
    if (difference != 0) return i + FirstByte(difference);
  }
  while (i < length && a[i] == b[i]) ++i;
  return i;
}

#if defined(__x86_64__)
// Four vectors per turn hide the latency of the test. The turn that finds a difference ends in EqualWords.
__attribute__((target("avx2"))) size_t EqualAvx2(const uint8_t* a, const uint8_t* b, size_t length) {
  size_t i = 0;
  for (; i + 128 <= length; i += 128) {
    __m256i any = _mm256_setzero_si256();
    for (size_t k = 0; k < 128; k += 32) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i + k));
      const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + i + k));
      any = _mm256_or_si256(any, _mm256_xor_si256(x, y));
    }
    if (!_mm256_testz_si256(any, any)) break;
  }
  return EqualWords(a, b, length, i);
}
#endif

}  // namespace

size_t EqualPrefix(const uint8_t* a, const uint8_t* b, size_t length) {
#if defined(__x86_64__)
  // AVX-512 brings nothing here: two loads per comparison are bound by memory already.
  if (length >= 128 && CpuSimd() >= Simd::kAvx2) return EqualAvx2(a, b, length);
#endif
  size_t i = 0;
  for (; i + 64 <= length; i += 64) {
    uint64_t any = 0;
    for (size_t k = 0; k < 64; k += 8) any |= Load(a + i + k) ^ Load(b + i + k);
    if (any != 0) break;
  }
  return EqualWords(a, b, length, i);
}

size_t ZeroPrefix(const uint8_t* a, size_t length) {
  static const uint8_t zeros[4096] = {};
  for (size_t i = 0; i < length; i += sizeof zeros) {
    const size_t step = std::min(sizeof zeros, length - i);
    const size_t equal = EqualPrefix(a + i, zeros, step);
    if (equal < step) return i + equal;
  }
  return length;
}

}  // namespace dk::xordelta
