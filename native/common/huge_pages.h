// Fresh memory is dear: each page of 4 KiB that is touched first costs a fault, and on a virtual machine that hands
// freed memory back, one of the host besides. Huge pages make both 512 times rarer.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dk {

constexpr size_t kHugePageBytes = 2 << 20;
// Shorter memory would mostly be edges.
constexpr size_t kHugeFrom = 4 << 20;

// Asks for huge pages for the whole ones inside. Advice: nothing depends on it.
inline void AdviseHuge(void* memory, size_t length) {
#if defined(__linux__)
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + length) & ~(kHugePageBytes - 1);
  if (length >= kHugeFrom && end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)length;
#endif
}

// Room for so many bytes; what is never filled is never touched.
inline void ReserveHuge(std::vector<uint8_t>* bytes, size_t length) {
  if (bytes->capacity() >= length) return;
  bytes->reserve(length);
  AdviseHuge(bytes->data(), bytes->capacity());
}

}  // namespace dk
