// Method: whoever touches a mapped page behind the end of its file gets SIGBUS. While a copy runs, a handler of ours
// puts a page of zeros there and the copy goes on, to be called off at its end; every other SIGBUS goes to whom it went
// before.
#include "pages/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/magic.h>
#include <sys/vfs.h>
#endif

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <mutex>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace dk::pages {
namespace {

#if defined(__linux__)

// What this thread copies from; read by the handler, which runs on the same thread.
struct Source {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  volatile sig_atomic_t cut = 0;
};
thread_local Source* t_source = nullptr;

struct sigaction g_before;
std::atomic<bool> g_anywhere{false};

// On overlayfs a file that was opened to be read is another one than that which its first writer gets, and the mapping
// stays with the old one; on tmpfs each page of a hole that is read takes room from then on.
bool ShowsEveryWrite(int fd) {
  struct statfs about;
  if (g_anywhere) return true;
  if (fstatfs(fd, &about) != 0) return false;
  const auto type = static_cast<uint32_t>(about.f_type);
  return type == EXT4_SUPER_MAGIC || type == XFS_SUPER_MAGIC || type == BTRFS_SUPER_MAGIC;
}

// Ends as it would have without us: what an instruction caused comes again when it runs again, what was sent does not.
void PassOn(int number, siginfo_t* info, void* context) {
  if ((g_before.sa_flags & SA_SIGINFO) != 0) {
    g_before.sa_sigaction(number, info, context);
  } else if (g_before.sa_handler == SIG_DFL) {
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number);
  } else if (g_before.sa_handler != SIG_IGN) {
    g_before.sa_handler(number);
  } else if (info->si_code > 0) {
    // The kernel lets nobody ignore what an instruction of theirs caused.
    signal(number, SIG_DFL);
  }
}

void OnBusError(int number, siginfo_t* info, void* context) {
  Source* source = t_source;
  const uintptr_t at = reinterpret_cast<uintptr_t>(info->si_addr);
  if (info->si_code > 0 && source != nullptr && at >= source->begin && at < source->end) {
    const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    void* const where = reinterpret_cast<void*>(at & ~(page - 1));
    if (mmap(where, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == where) {
      source->cut = 1;
      return;
    }
  }
  PassOn(number, info, context);
}

// Our handler is there only while somebody copies: the process belongs to others. A thread of the pool leaves signals
// to other threads, but this one comes to the thread that caused it.
std::mutex g_mutex;
size_t g_copies = 0;

struct BusErrors {
  BusErrors() {
    sigset_t bus;
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    const std::lock_guard<std::mutex> lock(g_mutex);
    if (g_copies == 0) {
      struct sigaction ours{};
      ours.sa_sigaction = OnBusError;
      ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
      sigemptyset(&ours.sa_mask);
      if (sigaction(SIGBUS, &ours, &g_before) != 0) return;
    }
    ++g_copies;
    good = pthread_sigmask(SIG_UNBLOCK, &bus, &mask) == 0;
    if (!good) End();
  }
  ~BusErrors() {
    if (!good) return;
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    const std::lock_guard<std::mutex> lock(g_mutex);
    End();
  }
  BusErrors(const BusErrors&) = delete;
  BusErrors& operator=(const BusErrors&) = delete;

  static void End() {
    if (--g_copies == 0) sigaction(SIGBUS, &g_before, nullptr);
  }

  sigset_t mask;
  bool good = false;
};

#endif

}  // namespace

// The target is not read before it is overwritten.
void CopyPast(uint8_t* into, const uint8_t* from, size_t length) {
#if defined(__SSE2__)
  constexpr size_t kLine = 64;
  const size_t head = std::min(length, (16 - (reinterpret_cast<uintptr_t>(into) & 15)) & 15);
  std::memcpy(into, from, head);
  size_t at = head;
  for (; at + kLine <= length; at += kLine) {
    const __m128i* source = reinterpret_cast<const __m128i*>(from + at);
    __m128i* target = reinterpret_cast<__m128i*>(into + at);
    const __m128i a = _mm_loadu_si128(source);
    const __m128i b = _mm_loadu_si128(source + 1);
    const __m128i c = _mm_loadu_si128(source + 2);
    const __m128i d = _mm_loadu_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
  std::memcpy(into + at, from + at, length - at);
  _mm_sfence();
#else
  std::memcpy(into, from, length);
#endif
}

void MapAnywhere(bool on) {
#if defined(__linux__)
  g_anywhere = on;
#else
  (void)on;
#endif
}

bool MappedFile::Map(int fd, size_t length) {
#if defined(__linux__)
  if (cut_) Unmap();
  if (length == 0) return false;
  if (length <= length_) return true;
  if (bytes_ == nullptr && !ShowsEveryWrite(fd)) return false;
  void* const bytes = bytes_ == nullptr ? mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, 0)
                                        : mremap(bytes_, length_, length, MREMAP_MAYMOVE);
  if (bytes == MAP_FAILED) return false;
  bytes_ = static_cast<uint8_t*>(bytes);
#if defined(MADV_POPULATE_READ)
  // An older kernel brings the pages in when they are read.
  const size_t known = length_ & ~(static_cast<size_t>(sysconf(_SC_PAGESIZE)) - 1);
  (void)madvise(bytes_ + known, length - known, MADV_POPULATE_READ);
#endif
  length_ = length;
  return true;
#else
  (void)fd, (void)length;
  return false;
#endif
}

void MappedFile::Unmap() {
  if (bytes_ != nullptr) munmap(bytes_, length_);
  bytes_ = nullptr;
  length_ = 0;
  cut_ = false;
}

bool MappedFile::Look(size_t offset, size_t length, const std::function<void(const uint8_t*)>& look) const {
#if defined(__linux__)
  (void)length;
  // What was cut off reads as zeros from then on, without a signal, also when the file has grown again.
  if (cut_) return false;
  Source source;
  source.begin = reinterpret_cast<uintptr_t>(bytes_);
  source.end = source.begin + length_;
  const BusErrors listening;
  if (!listening.good) return false;
  t_source = &source;
  // The handler looks at it at any moment in between.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  look(bytes_ + offset);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  t_source = nullptr;
  if (source.cut != 0) cut_ = true;
  return source.cut == 0;
#else
  (void)offset, (void)length, (void)look;
  return false;
#endif
}

}  // namespace dk::pages
