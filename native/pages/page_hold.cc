// Method: the bytes are only copied, by all threads at once, or not even that; comparing and hashing them comes later,
// when whoever writes the file goes on already.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "common/thread_pool.h"
#include "pages/page_scan.h"
#include "pages/run_read.h"
#include "pages/xattr_list.h"
#if defined(__linux__)
#include <linux/fs.h>
#endif

namespace dk::pages {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

}  // namespace

// What goes with the bytes; false when they are not of one moment.
bool PageScan::KeepHeld(bool in_memory) {
  struct stat status;
  if (::fstat(file_.get(), &status) != 0) return false;
  const StatRow row = RowOf(status);
  if (!SameContent(row_, row)) return false;
  held_ = Held{row, ReadXattrs(file_.get()), in_memory};
  return true;
}

bool PageScan::Map() { return at_ == 0 && !held_ && file_.get() >= 0 && mapped_.Map(file_.get(), size()); }

int PageScan::Hold(uint8_t* into, size_t bytes) {
  if (file_.get() < 0) return -EBADF;
  if (at_ != 0 || held_ || size() == 0) return 0;
  struct stat status;
  if (::fstat(file_.get(), &status) != 0) return -errno;
  const StatRow opened = row_;
  row_ = RowOf(status);
  if (size() > 0 && size() <= bytes && CopyAll(into) && KeepHeld(true)) return 1;
  row_ = opened;
  return 0;
}

// Copies the file as it is; false when something of it could not be read.
bool PageScan::CopyAll(uint8_t* into) {
  const size_t count = static_cast<size_t>((size() + kPieceBytes - 1) / kPieceBytes);
  std::atomic<bool> whole{true};
  ParallelFor(count, [&](size_t i) {
    const uint64_t offset = uint64_t{i} * kPieceBytes;
    const uint64_t length = std::min<uint64_t>(kPieceBytes, size() - offset);
    const bool mapped = offset + length <= mapped_.length();
    // An error comes again, and is told, when the file is read in the usual way.
    const bool done = mapped ? mapped_.Copy(offset, length, into + offset)
                             : ReadRun(file_.get(), Run{offset, length}, into + offset) == static_cast<int64_t>(length);
    if (!done) whole = false;
  });
  return whole;
}

int PageScan::Clone(const std::string& directory) {
  if (file_.get() < 0) return -EBADF;
#if defined(__linux__) && defined(O_TMPFILE) && defined(FICLONE)
  if (at_ != 0 || held_) return 0;
  FileDescriptor clone(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (clone.get() < 0 || ::ioctl(clone.get(), FICLONE, file_.get()) != 0 || !KeepHeld(false)) return 0;
  file_ = std::move(clone);
  return 1;
#else
  (void)directory;
  return 0;
#endif
}

}  // namespace dk::pages
