#include "sparse/sparse_apply.h"

#include <algorithm>

#include "common/copy_bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dk::sparse {
namespace {

void ChangeEven(const EvenPoints& points, uint8_t* target) {
  const uint64_t stride = points.stride;
  const uint8_t* const values = points.values;
  uint8_t* at = target + points.first;
  if (points.plain) {
    for (uint64_t i = 0; i < points.count; ++i, at += stride) *at = values[i];
  } else {
    for (uint64_t i = 0; i < points.count; ++i, at += stride) *at ^= values[i];
  }
}

void CopyEvenPortable(const uint8_t* source, size_t length, const EvenPoints& points, uint8_t* target) {
  CopyBytes(target, source, length);
  ChangeEven(points, target);
}

#if defined(__x86_64__)
constexpr size_t kLane = 64;
// Of points that are farther apart there are so few that each may as well be changed for itself.
constexpr uint64_t kStrideMost = 4 * kLane;

// The points from number `from` on.
EvenPoints Rest(const EvenPoints& points, uint64_t from) {
  return {points.first + from * points.stride, points.stride, points.count - from, points.values + from, points.plain};
}

// Bits of a first point at 0 and all that follow it in a lane.
uint64_t Pattern(uint64_t stride) {
  uint64_t bits = 0;
  for (uint64_t at = 0; at < kLane; at += stride) bits |= uint64_t{1} << at;
  return bits;
}

template <bool kPlain>
__attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt"))) void CopyEvenVbmi2(const uint8_t* source, size_t length,
                                                                                  const EvenPoints& points,
                                                                                  uint8_t* target) {
  const uint64_t stride = points.stride;
  if (stride > kStrideMost || points.count < 2 * kLane) return CopyEvenPortable(source, length, points, target);
  // From the first place at or behind the first point where stores do not go over the seam of two lines of the cache,
  // which takes twice as long.
  const size_t head = points.first + (kLane - reinterpret_cast<uintptr_t>(target + points.first) % kLane) % kLane;
  if (head > length) return CopyEvenPortable(source, length, points, target);
  const uint64_t before = (head - points.first + stride - 1) / stride;
  const uint64_t pattern = Pattern(stride);
  // From lane to lane the next point comes nearer by what a lane is beyond whole strides.
  const uint64_t nearer = kLane % stride;
  // Of the next point, from where the lane begins: always less than a stride.
  uint64_t next = points.first + before * stride - head;
  uint64_t used = before;
  size_t at = head;
  CopyBytes(target, source, head);
  // As many values are read as a lane can hold.
  for (; length - at >= kLane && points.count >= used + kLane; at += kLane) {
    const __mmask64 mask = next < kLane ? pattern << next : 0;
    const __m512i bytes = _mm512_loadu_si512(source + at);
    const __m512i values = _mm512_loadu_si512(points.values + used);
    _mm512_store_si512(target + at, kPlain ? _mm512_mask_expand_epi8(bytes, mask, values)
                                           : _mm512_xor_si512(bytes, _mm512_maskz_expand_epi8(mask, values)));
    used += static_cast<uint64_t>(_mm_popcnt_u64(mask));
    next = next >= nearer ? next - nearer : next + stride - nearer;
  }
  CopyBytes(target + at, source + at, length - at);
  ChangeEven({points.first, stride, std::min(before, points.count), points.values, points.plain}, target);
  if (used < points.count) ChangeEven(Rest(points, used), target);
}

void CopyEvenEither(const uint8_t* source, size_t length, const EvenPoints& points, uint8_t* target) {
  if (points.plain)
    CopyEvenVbmi2<true>(source, length, points, target);
  else
    CopyEvenVbmi2<false>(source, length, points, target);
}
#endif

}  // namespace

CopyEven CopyEvenFor(Simd level) {
#if defined(__x86_64__)
  static const bool expands = __builtin_cpu_supports("avx512vbmi2");
  if (std::min(level, CpuSimd()) >= Simd::kAvx512 && expands) return CopyEvenEither;
#endif
  static_cast<void>(level);
  return CopyEvenPortable;
}

}  // namespace dk::sparse
