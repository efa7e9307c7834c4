#include "planes/planes_kernels.h"

#include <cstring>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dk::planes {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte 0 of an element is its lowest");

template <typename U>
constexpr unsigned kLastBit = 8 * sizeof(U) - 1;

template <typename U>
U SignFill(U value) {
  return static_cast<U>(static_cast<std::make_signed_t<U>>(value) >> kLastBit<U>);
}

template <typename U>
U Ordered(U bits) {
  return static_cast<U>(bits ^ (SignFill(bits) | U{1} << kLastBit<U>));
}

template <typename U>
U Difference(U target, U source) {
  const U difference = static_cast<U>(Ordered(target) - Ordered(source));
  return static_cast<U>(static_cast<U>(difference << 1) ^ SignFill(difference));
}

template <typename U>
U Undo(U value, U source) {
  const U difference = static_cast<U>((value >> 1) ^ (U{0} - (value & 1)));
  const U ordered = static_cast<U>(Ordered(source) + difference);
  return static_cast<U>(ordered ^ (static_cast<U>(~SignFill(ordered)) | U{1} << kLastBit<U>));
}

template <typename U>
U Load(const uint8_t* at) {
  U value;
  memcpy(&value, at, sizeof value);
  return value;
}

// From element `i` on: also the tail behind the vectors.
template <typename U>
void SplitFrom(size_t i, const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  for (; i < count; ++i) {
    const U bits = Load<U>(target + i * sizeof(U));
    const U value = source == nullptr ? static_cast<U>(static_cast<U>(bits << 1) | bits >> kLastBit<U>)
                                      : Difference(bits, Load<U>(source + i * sizeof(U)));
    for (size_t k = 0; k < sizeof(U); ++k) planes[k][i] = static_cast<uint8_t>(value >> 8 * k);
  }
}

template <typename U>
void MergeFrom(size_t i, const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  for (; i < count; ++i) {
    U value = 0;
    for (size_t k = 0; k < sizeof(U); ++k) value = static_cast<U>(value | static_cast<U>(U{planes[k][i]} << 8 * k));
    const U bits = source == nullptr ? static_cast<U>(value >> 1 | static_cast<U>(value << kLastBit<U>))
                                     : Undo(value, Load<U>(source + i * sizeof(U)));
    memcpy(target + i * sizeof(U), &bits, sizeof bits);
  }
}

template <typename U>
void SplitPortable(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  SplitFrom<U>(0, target, source, count, planes);
}
template <typename U>
void MergePortable(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  MergeFrom<U>(0, planes, source, count, target);
}

const Kernels kPortable = {SplitPortable<uint16_t>, SplitPortable<uint32_t>, SplitPortable<uint64_t>,
                           MergePortable<uint16_t>, MergePortable<uint32_t>, MergePortable<uint64_t>};

#if defined(__x86_64__)
#define DK_SSE2
#define DK_AVX2 __attribute__((target("avx2")))
#define DK_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

// The arithmetic above over vectors of Bytes bytes. Encoded(a, b) and Decoded(a, b) take elements of the vector type
// Raw; a source of nullptr means none.
// Macros instead of templates, because a function that uses an instruction set must carry its target attribute.
#define DK_PLANES_MATH(Name, TARGET, Raw, U, S, Bytes)                                            \
  typedef U Vector##Name __attribute__((vector_size(Bytes)));                                     \
  typedef S Signed##Name __attribute__((vector_size(Bytes)));                                     \
  TARGET inline Vector##Name Fill##Name(Vector##Name v) {                                         \
    return reinterpret_cast<Vector##Name>(reinterpret_cast<Signed##Name>(v) >> kLastBit<U>);      \
  }                                                                                               \
  TARGET inline Vector##Name Ordered##Name(Vector##Name v) {                                      \
    return v ^ (Fill##Name(v) | static_cast<U>(U{1} << kLastBit<U>));                             \
  }                                                                                               \
  TARGET inline Vector##Name At##Name(const uint8_t* at) {                                        \
    Vector##Name v;                                                                               \
    memcpy(&v, at, sizeof v);                                                                     \
    return v;                                                                                     \
  }                                                                                               \
  TARGET inline Raw Encoded##Name(const uint8_t* target, const uint8_t* source, size_t byte) {    \
    const Vector##Name bits = At##Name(target + byte);                                            \
    if (source == nullptr) return reinterpret_cast<Raw>((bits << 1) | (bits >> kLastBit<U>));     \
    const Vector##Name d = Ordered##Name(bits) - Ordered##Name(At##Name(source + byte));          \
    return reinterpret_cast<Raw>((d << 1) ^ Fill##Name(d));                                       \
  }                                                                                               \
  TARGET inline void Decode##Name(Raw raw, const uint8_t* source, size_t byte, uint8_t* target) { \
    const Vector##Name value = reinterpret_cast<Vector##Name>(raw);                               \
    Vector##Name bits = (value >> 1) | (value << kLastBit<U>);                                    \
    if (source != nullptr) {                                                                      \
      const Vector##Name d = (value >> 1) ^ (-(value & static_cast<U>(1)));                       \
      const Vector##Name ordered = Ordered##Name(At##Name(source + byte)) + d;                    \
      bits = ordered ^ (~Fill##Name(ordered) | static_cast<U>(U{1} << kLastBit<U>));              \
    }                                                                                             \
    memcpy(target + byte, &bits, sizeof bits);                                                    \
  }

DK_PLANES_MATH(Sse16, DK_SSE2, __m128i, uint16_t, int16_t, 16)
DK_PLANES_MATH(Sse32, DK_SSE2, __m128i, uint32_t, int32_t, 16)
DK_PLANES_MATH(Avx16, DK_AVX2, __m256i, uint16_t, int16_t, 32)
DK_PLANES_MATH(Avx32, DK_AVX2, __m256i, uint32_t, int32_t, 32)
DK_PLANES_MATH(Wide16, DK_AVX512, __m512i, uint16_t, int16_t, 64)
DK_PLANES_MATH(Wide32, DK_AVX512, __m512i, uint32_t, int32_t, 64)

__m128i Load128(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
void Store128(uint8_t* at, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(at), v); }
DK_AVX2 __m256i Load256(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
DK_AVX2 void Store256(uint8_t* at, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v); }

void Split2Sse2(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  const __m128i low = _mm_set1_epi16(0xff);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i a = EncodedSse16(target, source, 2 * i), b = EncodedSse16(target, source, 2 * i + 16);
    Store128(planes[0] + i, _mm_packus_epi16(_mm_and_si128(a, low), _mm_and_si128(b, low)));
    Store128(planes[1] + i, _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8)));
  }
  SplitFrom<uint16_t>(i, target, source, count, planes);
}

void Merge2Sse2(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i low = Load128(planes[0] + i), high = Load128(planes[1] + i);
    DecodeSse16(_mm_unpacklo_epi8(low, high), source, 2 * i, target);
    DecodeSse16(_mm_unpackhi_epi8(low, high), source, 2 * i + 16, target);
  }
  MergeFrom<uint16_t>(i, planes, source, count, target);
}

void Split4Sse2(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  const __m128i low = _mm_set1_epi32(0xff);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    __m128i v[4];
    for (size_t k = 0; k < 4; ++k) v[k] = EncodedSse32(target, source, 4 * i + 16 * k);
    for (size_t plane = 0; plane < 4; ++plane) {
      const __m128i ab = _mm_packs_epi32(_mm_and_si128(v[0], low), _mm_and_si128(v[1], low));
      const __m128i cd = _mm_packs_epi32(_mm_and_si128(v[2], low), _mm_and_si128(v[3], low));
      Store128(planes[plane] + i, _mm_packus_epi16(ab, cd));
      for (__m128i& one : v) one = _mm_srli_epi32(one, 8);
    }
  }
  SplitFrom<uint32_t>(i, target, source, count, planes);
}

void Merge4Sse2(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i a = Load128(planes[0] + i), b = Load128(planes[1] + i);
    const __m128i c = Load128(planes[2] + i), d = Load128(planes[3] + i);
    const __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
    const __m128i ab_high = _mm_unpackhi_epi8(a, b), cd_high = _mm_unpackhi_epi8(c, d);
    DecodeSse32(_mm_unpacklo_epi16(ab, cd), source, 4 * i, target);
    DecodeSse32(_mm_unpackhi_epi16(ab, cd), source, 4 * i + 16, target);
    DecodeSse32(_mm_unpacklo_epi16(ab_high, cd_high), source, 4 * i + 32, target);
    DecodeSse32(_mm_unpackhi_epi16(ab_high, cd_high), source, 4 * i + 48, target);
  }
  MergeFrom<uint32_t>(i, planes, source, count, target);
}

DK_AVX2 void Split2Avx2(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  const __m256i low = _mm256_set1_epi16(0xff);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i a = EncodedAvx16(target, source, 2 * i), b = EncodedAvx16(target, source, 2 * i + 32);
    // Packing works within halves: the middle quarters change places.
    const __m256i even = _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
    const __m256i odd = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
    Store256(planes[0] + i, _mm256_permute4x64_epi64(even, 0xd8));
    Store256(planes[1] + i, _mm256_permute4x64_epi64(odd, 0xd8));
  }
  SplitFrom<uint16_t>(i, target, source, count, planes);
}

DK_AVX2 void Merge2Avx2(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i low = Load256(planes[0] + i), high = Load256(planes[1] + i);
    const __m256i first = _mm256_unpacklo_epi8(low, high), second = _mm256_unpackhi_epi8(low, high);
    DecodeAvx16(_mm256_permute2x128_si256(first, second, 0x20), source, 2 * i, target);
    DecodeAvx16(_mm256_permute2x128_si256(first, second, 0x31), source, 2 * i + 32, target);
  }
  MergeFrom<uint16_t>(i, planes, source, count, target);
}

DK_AVX2 void Split4Avx2(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  const __m256i low = _mm256_set1_epi32(0xff);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i v[4];
    for (size_t k = 0; k < 4; ++k) v[k] = EncodedAvx32(target, source, 4 * i + 32 * k);
    for (size_t plane = 0; plane < 4; ++plane) {
      const __m256i ab = _mm256_packs_epi32(_mm256_and_si256(v[0], low), _mm256_and_si256(v[1], low));
      const __m256i cd = _mm256_packs_epi32(_mm256_and_si256(v[2], low), _mm256_and_si256(v[3], low));
      Store256(planes[plane] + i, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), order));
      for (__m256i& one : v) one = _mm256_srli_epi32(one, 8);
    }
  }
  SplitFrom<uint32_t>(i, target, source, count, planes);
}

DK_AVX2 void Merge4Avx2(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i a = Load256(planes[0] + i), b = Load256(planes[1] + i);
    const __m256i c = Load256(planes[2] + i), d = Load256(planes[3] + i);
    const __m256i ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpacklo_epi8(c, d);
    const __m256i ab_high = _mm256_unpackhi_epi8(a, b), cd_high = _mm256_unpackhi_epi8(c, d);
    // Elements 0-3 and 16-19, 4-7 and 20-23, 8-11 and 24-27, 12-15 and 28-31.
    const __m256i v0 = _mm256_unpacklo_epi16(ab, cd), v1 = _mm256_unpackhi_epi16(ab, cd);
    const __m256i v2 = _mm256_unpacklo_epi16(ab_high, cd_high), v3 = _mm256_unpackhi_epi16(ab_high, cd_high);
    DecodeAvx32(_mm256_permute2x128_si256(v0, v1, 0x20), source, 4 * i, target);
    DecodeAvx32(_mm256_permute2x128_si256(v2, v3, 0x20), source, 4 * i + 32, target);
    DecodeAvx32(_mm256_permute2x128_si256(v0, v1, 0x31), source, 4 * i + 64, target);
    DecodeAvx32(_mm256_permute2x128_si256(v2, v3, 0x31), source, 4 * i + 96, target);
  }
  MergeFrom<uint32_t>(i, planes, source, count, target);
}

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the "undefined" operands inside its own intrinsics for uninitialized variables.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

DK_AVX512 void Split2Avx512(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m512i v = EncodedWide16(target, source, 2 * i);
    Store256(planes[0] + i, _mm512_cvtepi16_epi8(v));
    Store256(planes[1] + i, _mm512_cvtepi16_epi8(_mm512_srli_epi16(v, 8)));
  }
  SplitFrom<uint16_t>(i, target, source, count, planes);
}

DK_AVX512 void Merge2Avx512(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m512i low = _mm512_cvtepu8_epi16(Load256(planes[0] + i));
    const __m512i high = _mm512_slli_epi16(_mm512_cvtepu8_epi16(Load256(planes[1] + i)), 8);
    DecodeWide16(_mm512_or_si512(low, high), source, 2 * i, target);
  }
  MergeFrom<uint16_t>(i, planes, source, count, target);
}

DK_AVX512 void Split4Avx512(const uint8_t* target, const uint8_t* source, size_t count, uint8_t* const* planes) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    __m512i v = EncodedWide32(target, source, 4 * i);
    for (size_t plane = 0; plane < 4; ++plane) {
      Store128(planes[plane] + i, _mm512_cvtepi32_epi8(v));
      v = _mm512_srli_epi32(v, 8);
    }
  }
  SplitFrom<uint32_t>(i, target, source, count, planes);
}

DK_AVX512 void Merge4Avx512(const uint8_t* const* planes, const uint8_t* source, size_t count, uint8_t* target) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    __m512i v = _mm512_cvtepu8_epi32(Load128(planes[3] + i));
    for (size_t plane = 3; plane-- > 0;) {
      v = _mm512_or_si512(_mm512_slli_epi32(v, 8), _mm512_cvtepu8_epi32(Load128(planes[plane] + i)));
    }
    DecodeWide32(v, source, 4 * i, target);
  }
  MergeFrom<uint32_t>(i, planes, source, count, target);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

const Kernels kSse2 = {Split2Sse2, Split4Sse2, SplitPortable<uint64_t>,
                       Merge2Sse2, Merge4Sse2, MergePortable<uint64_t>};
const Kernels kAvx2 = {Split2Avx2, Split4Avx2, SplitPortable<uint64_t>,
                       Merge2Avx2, Merge4Avx2, MergePortable<uint64_t>};
const Kernels kAvx512 = {Split2Avx512, Split4Avx512, SplitPortable<uint64_t>,
                         Merge2Avx512, Merge4Avx512, MergePortable<uint64_t>};
#endif

}  // namespace

const Kernels& KernelsFor(Simd level) {
  const Simd usable = level < CpuSimd() ? level : CpuSimd();
#if defined(__x86_64__)
  if (usable == Simd::kAvx512) return kAvx512;
  if (usable == Simd::kAvx2) return kAvx2;
  if (usable == Simd::kSse2) return kSse2;
#else
  (void)usable;
#endif
  return kPortable;
}

}  // namespace dk::planes
