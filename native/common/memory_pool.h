// Memory that is used again. Memory touched for the first time costs a fault for each page, and on a virtual machine
// that hands freed memory back one of the host besides: a tenth of a second per gigabyte and more. Whoever makes
// states of megabytes again and again had better get the memory of the one before.
//
// One pool for the process, never destroyed: blocks come back from finalizers of any environment and from threads that
// end late. It keeps blocks only while somebody holds it, up to the limit that the holders gave; what was not used for
// a while goes back to the system when the threads of the addon have nothing to do.
//
// A block holds what was in it before. Whatever goes to JavaScript must be written in full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

namespace dk {

// Shorter memory is left to the C library, which keeps it itself.
constexpr size_t kPooledFrom = size_t{256} << 10;

// Room for at least `length` bytes, aligned for anything. Throws std::bad_alloc.
uint8_t* TakeMemory(size_t length);
// Gives memory back to the system. What is large takes it a millisecond and more.
using Release = void (*)(void* memory);
void ReleaseHere(void* memory);

// Gives back what TakeMemory gave for the same length. nullptr is nothing. What is not kept goes to `release`.
void GiveMemory(uint8_t* memory, size_t length, Release release = ReleaseHere) noexcept;

// From now on up to `limit` bytes are kept for the next that wants them; the limit of the last call counts.
void HoldSpareMemory(size_t limit, Release release = ReleaseHere);
// One for each HoldSpareMemory: after the last one nothing is kept.
void ReleaseSpareMemory(Release release = ReleaseHere);
// Bytes that are kept now.
size_t SpareMemory();
// Gives back what was not wanted for so long. Returns whether anything is kept still.
bool TrimSpareMemory(int64_t unused_ms);
// Called, on any thread, when the pool gets something after it had nothing.
void OnSpareMemory(void (*call)());

// For vectors that are filled once and dropped: their memory is used again, and resize() leaves it as it is.
template <typename T>
struct PoolAllocator {
  using value_type = T;

  PoolAllocator() = default;
  template <typename U>
  explicit PoolAllocator(const PoolAllocator<U>&) {}

  T* allocate(size_t count) {
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
    return reinterpret_cast<T*>(TakeMemory(count * sizeof(T)));
  }
  void deallocate(T* memory, size_t count) noexcept {
    GiveMemory(reinterpret_cast<uint8_t*>(memory), count * sizeof(T));
  }
  template <typename U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <typename U, typename... Arguments>
  void construct(U* at, Arguments&&... arguments) {
    ::new (static_cast<void*>(at)) U(std::forward<Arguments>(arguments)...);
  }
  friend bool operator==(const PoolAllocator&, const PoolAllocator&) { return true; }
  friend bool operator!=(const PoolAllocator&, const PoolAllocator&) { return false; }
};

using ScratchBytes = std::vector<uint8_t, PoolAllocator<uint8_t>>;

}  // namespace dk
