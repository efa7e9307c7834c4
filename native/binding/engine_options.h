// Arguments that several delta engines take.
#pragma once

#include <string>

#include "binding/args.h"
#include "common/cpu.h"

namespace dk {

// The engine's own enumeration of efforts.
template <typename Effort>
Effort TakeEffort(Napi::Value value) {
  const std::string name = TakeString(value, "effort");
  if (name == "fast") return Effort::kFast;
  if (name == "balanced") return Effort::kBalanced;
  if (name == "max") return Effort::kMax;
  ThrowType(value.Env(), "effort must be 'fast', 'balanced' or 'max'");
}

// Only for tests, which hold the levels against each other: no result depends on it.
inline Simd TakeSimd(Napi::Value value) {
  if (value.IsUndefined()) return CpuSimd();
  const std::string name = TakeString(value, "simd");
  if (name == "portable") return Simd::kPortable;
  if (name == "neon") return Simd::kNeon;
  if (name == "sse2") return Simd::kSse2;
  if (name == "avx2") return Simd::kAvx2;
  if (name == "avx512") return Simd::kAvx512;
  ThrowType(value.Env(), "simd must name a level");
}

}  // namespace dk
