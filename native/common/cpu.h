// Which vector instructions the processor and the operating system offer, asked once.
#pragma once

namespace dk {

enum class Simd { kPortable, kNeon, kSse2, kAvx2, kAvx512 };

Simd CpuSimd();

// "avx512", "avx2", "sse2", "neon" or "portable".
const char* CpuSimdName();

}  // namespace dk
