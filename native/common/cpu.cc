#include "common/cpu.h"

namespace dk {

static Simd Detect() {
#if defined(__x86_64__)
  // The compiler's runtime also checks that the system saves the wide registers.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return Simd::kAvx512;
  }
  if (__builtin_cpu_supports("avx2")) return Simd::kAvx2;
  return Simd::kSse2;
#elif defined(__aarch64__)
  return Simd::kNeon;
#else
  return Simd::kPortable;
#endif
}

Simd CpuSimd() {
  static const Simd level = Detect();
  return level;
}

const char* CpuSimdName() {
  switch (CpuSimd()) {
    case Simd::kAvx512:
      return "avx512";
    case Simd::kAvx2:
      return "avx2";
    case Simd::kSse2:
      return "sse2";
    case Simd::kNeon:
      return "neon";
    default:
      return "portable";
  }
}

}  // namespace dk
