#include "common/memory_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>

#include "common/huge_pages.h"

#if defined(DK_SANITIZED)
#include <sanitizer/asan_interface.h>
#endif

namespace dk {
namespace {

using Moment = std::chrono::steady_clock::time_point;

// Rooms of one power of two: blocks are shared by lengths that are close, and at most an eighth of one is left over.
constexpr size_t kStepsPerDouble = 8;

size_t RoomOf(size_t length) {
  size_t power = kPooledFrom;
  while (power <= length / 2) power *= 2;
  const size_t step = power / kStepsPerDouble;
  return (length + step - 1) / step * step;
}

uint8_t* Allocate(size_t length, size_t room) {
  void* memory = nullptr;
#if defined(__linux__)
  if (length >= kHugeFrom && posix_memalign(&memory, kHugePageBytes, room) == 0) AdviseHuge(memory, length);
#else
  (void)length;
#endif
  if (memory == nullptr) memory = malloc(room > 0 ? room : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<uint8_t*>(memory);
}

// In a sanitized build nobody may touch what lies in the pool.
void Fence(uint8_t* memory, size_t room, bool closed) {
#if defined(DK_SANITIZED)
  if (closed)
    ASAN_POISON_MEMORY_REGION(memory, room);
  else
    ASAN_UNPOISON_MEMORY_REGION(memory, room);
#else
  (void)memory;
  (void)room;
  (void)closed;
#endif
}

struct Block {
  uint8_t* memory;
  size_t room;
  Moment given;
};

void Free(const std::vector<Block>& blocks, Release release) {
  for (const Block& block : blocks) {
    Fence(block.memory, block.room, false);
    release(block.memory);
  }
}

class Spare {
 public:
  static Spare& Shared() {
    static Spare* spare = new Spare;  // Leaked on purpose, see the header.
    return *spare;
  }

  uint8_t* Take(size_t room) {
    std::lock_guard<std::mutex> lock(mutex_);
    // The newest one is the likeliest to be in a cache.
    for (size_t i = blocks_.size(); i-- > 0;) {
      if (blocks_[i].room != room) continue;
      uint8_t* memory = blocks_[i].memory;
      blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(i));
      bytes_ -= room;
      Fence(memory, room, false);
      return memory;
    }
    return nullptr;
  }

  // False when it is not to be kept.
  bool Give(uint8_t* memory, size_t room, Release release) {
    std::vector<Block> gone;
    bool first;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (holders_ == 0 || room > limit_) return false;
      // What may throw, first: then nothing is half done.
      blocks_.reserve(blocks_.size() + 1);
      gone.reserve(blocks_.size());
      Evict(limit_ - room, &gone);
      first = blocks_.empty();
      blocks_.push_back({memory, room, std::chrono::steady_clock::now()});
      bytes_ += room;
      Fence(memory, room, true);
    }
    Free(gone, release);
    void (*const call)() = call_.load();
    if (first && call != nullptr) call();
    return true;
  }

  void Hold(size_t limit, Release release) {
    std::vector<Block> gone;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      gone.reserve(blocks_.size());
      ++holders_;
      limit_ = limit;
      Evict(limit_, &gone);
    }
    Free(gone, release);
  }

  void Drop(Release release) {
    std::vector<Block> gone;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      gone.reserve(blocks_.size());
      if (holders_ > 0) --holders_;
      if (holders_ == 0) Evict(0, &gone);
    }
    Free(gone, release);
  }

  bool Trim(int64_t unused_ms) {
    std::vector<Block> gone;
    bool kept;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      gone.reserve(blocks_.size());
      const Moment before = std::chrono::steady_clock::now() - std::chrono::milliseconds(unused_ms);
      while (!blocks_.empty() && blocks_.front().given <= before) EvictOldest(&gone);
      kept = !blocks_.empty();
    }
    Free(gone, ReleaseHere);
    return kept;
  }

  size_t bytes() {
    std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
  }

  void OnFirst(void (*call)()) { call_.store(call); }

 private:
  void EvictOldest(std::vector<Block>* gone) {
    gone->push_back(blocks_.front());
    bytes_ -= blocks_.front().room;
    blocks_.erase(blocks_.begin());
  }
  // Until no more than `most` bytes are left: lengths that are not in use any more make room for those that are.
  void Evict(size_t most, std::vector<Block>* gone) {
    while (bytes_ > most) EvictOldest(gone);
  }

  std::mutex mutex_;
  std::vector<Block> blocks_;  // in the order in which they were given
  size_t bytes_ = 0;
  size_t limit_ = 0;
  size_t holders_ = 0;
  std::atomic<void (*)()> call_{nullptr};
};

}  // namespace

uint8_t* TakeMemory(size_t length) {
  if (length < kPooledFrom) return Allocate(0, length);
  const size_t room = RoomOf(length);
  if (room < length) throw std::bad_alloc();
  uint8_t* memory = Spare::Shared().Take(room);
  return memory != nullptr ? memory : Allocate(length, room);
}

void ReleaseHere(void* memory) { free(memory); }

void GiveMemory(uint8_t* memory, size_t length, Release release) noexcept {
  if (memory == nullptr) return;
  if (length < kPooledFrom) return free(memory);
  try {
    if (Spare::Shared().Give(memory, RoomOf(length), release)) return;
  } catch (const std::bad_alloc&) {
    // No room to note it in: it goes.
  }
  release(memory);
}

void HoldSpareMemory(size_t limit, Release release) { Spare::Shared().Hold(limit, release); }
void ReleaseSpareMemory(Release release) { Spare::Shared().Drop(release); }
size_t SpareMemory() { return Spare::Shared().bytes(); }
bool TrimSpareMemory(int64_t unused_ms) { return Spare::Shared().Trim(unused_ms); }
void OnSpareMemory(void (*call)()) { Spare::Shared().OnFirst(call); }

}  // namespace dk
