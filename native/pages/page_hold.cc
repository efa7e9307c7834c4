// Method: groups are compared with the page hashes of the source version where they lie, and only those that differ are
// copied, by all threads at once; or the file is not even read. Hashing and coding what was copied comes later, when
// whoever writes the file goes on already.
//
// Page hashes decide here as they do in every scan. What is copied is hashed again from the copy, and what is not is
// described by the tables of the source: table and digest are those of exactly these bytes.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "common/thread_pool.h"
#include "pages/page_scan.h"
#include "pages/run_read.h"
#include "pages/xattr_list.h"
#include "xxhash/xxhash_face.h"
#if defined(__linux__)
#include <linux/fs.h>
#endif

namespace dk::pages {
namespace {

// Groups that one thread takes at a time.
constexpr size_t kPieceGroups = 16;
// After so many groups in a row that differ, the rest of a piece is copied without a look: where most of a file has
// changed, comparing would only cost time. A scan compares what is copied again.
constexpr size_t kMovedRun = 4;

}  // namespace

// Memory of the caller on its way to be filled, by several threads.
class PageScan::HoldRoom {
 public:
  HoldRoom(uint8_t* into, size_t bytes) : into_(into), bytes_(bytes) {}

  // Place of `length` bytes, or kKnown when there is none left.
  uint64_t Take(size_t length) {
    // No more than one group for each of the file is asked for: this cannot wrap.
    const uint64_t place = used_.fetch_add(length, std::memory_order_relaxed);
    return place + length <= bytes_ ? place : kKnown;
  }
  uint8_t* At(uint64_t place) const { return into_ + place; }
  // After all threads are done, if none was refused.
  size_t used() const { return static_cast<size_t>(used_); }

 private:
  uint8_t* const into_;
  const size_t bytes_;
  std::atomic<uint64_t> used_{0};
};

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

int PageScan::Hold(const PageSource& source, uint8_t* into, size_t bytes) {
  if (!IsOpen()) return -EBADF;
  if (at_ != 0 || held_ || size() == 0) return 0;
  struct stat status;
  if (::fstat(file_.get(), &status) != 0) return -errno;
  const StatRow opened = row_;
  row_ = RowOf(status);
  source_ = source;
  HoldRoom room(into, bytes);
  if (size() > 0 && TakeGroups(&room) && KeepHeld(true)) {
    held_bytes_ = room.used();
    // A mapped file may be begun anew.
    if (mapped_.length() == 0) file_.Reset();
    return 1;
  }
  row_ = opened;
  places_.clear();
  return 0;
}

// Takes the file as it is; false when something of it could not be read or does not fit.
bool PageScan::TakeGroups(HoldRoom* room) {
  const size_t count = static_cast<size_t>((size() + kGroupBytes - 1) / kGroupBytes);
  places_.assign(count, kKnown);
  // The last one may be shorter, and its bytes are needed whatever they are: no group value stands for them.
  const size_t full = count - 1;
  std::atomic<bool> whole{true};
  ParallelFor((full + kPieceGroups - 1) / kPieceGroups, [&](size_t i) {
    const size_t first = i * kPieceGroups;
    if (whole && !TakePiece(first, std::min(full, first + kPieceGroups), room)) whole = false;
  });
  return whole && CopyGroup(full, room);
}

// Takes the groups from `first` up to `end`, which are full.
bool PageScan::TakePiece(size_t first, size_t end, HoldRoom* room) {
  const uint64_t offset = uint64_t{first} * kGroupBytes;
  const uint64_t length = uint64_t{end - first} * kGroupBytes;
  size_t moved = 0;
  if (offset + length <= mapped_.length()) {
    bool fits = true;
    const bool there = mapped_.Look(offset, length, [&](const uint8_t* bytes) {
      for (size_t group = first; group < end && fits; ++group, bytes += kGroupBytes) {
        moved = moved < kMovedRun && IsSourceGroup(group, bytes) ? 0 : moved + 1;
        if (moved == 0) continue;
        places_[group] = room->Take(kGroupBytes);
        fits = places_[group] != kKnown;
        if (fits) CopyPast(room->At(places_[group]), bytes, kGroupBytes);
      }
    });
    return there && fits;
  }
  // One buffer for all: it stays in the cache of this thread.
  Block buffer;
  BorrowBuffer(&buffer);
  bool good = true;
  for (size_t group = first; group < end && good; ++group) {
    if (moved >= kMovedRun || !InSource(group)) {
      good = CopyGroup(group, room);
      continue;
    }
    good = ReadGroup(group, kGroupBytes, buffer.bytes.data());
    if (!good || IsSourceGroup(group, buffer.bytes.data())) {
      moved = 0;
      continue;
    }
    moved += 1;
    places_[group] = room->Take(kGroupBytes);
    good = places_[group] != kKnown;
    if (good) std::memcpy(room->At(places_[group]), buffer.bytes.data(), kGroupBytes);
  }
  ReturnBuffer(&buffer);
  return good;
}

// Takes one group without a look.
bool PageScan::CopyGroup(size_t group, HoldRoom* room) {
  const uint64_t offset = uint64_t{group} * kGroupBytes;
  const size_t length = static_cast<size_t>(std::min<uint64_t>(kGroupBytes, size() - offset));
  places_[group] = room->Take(length);
  return places_[group] != kKnown && ReadGroup(group, length, room->At(places_[group]));
}

// An error comes again, and is told, when the file is read in the usual way.
bool PageScan::ReadGroup(size_t group, size_t length, uint8_t* into) const {
  const uint64_t offset = uint64_t{group} * kGroupBytes;
  return ReadRun(file_.get(), Run{offset, length}, into) == static_cast<int64_t>(length);
}

// Whether the source version has this group in full, with all that is kept of it.
bool PageScan::InSource(uint64_t group) const {
  return group < source_.file_bytes / kGroupBytes && group < source_.groups_bytes / kDigestBytes &&
         group < source_.pages_bytes / (kGroupPages * kPageHashBytes);
}

// Whether a full group is as it was in the source version; SHA-256 needs the bytes of every group.
bool PageScan::IsSourceGroup(uint64_t group, const uint8_t* bytes) const {
  if (sha256_ || !InSource(group)) return false;
  const uint8_t* known = source_.pages + group * kGroupPages * kPageHashBytes;
  for (size_t i = 0; i < kGroupPages; ++i) {
    uint8_t hash[kPageHashBytes];
    xxhash::Hash128(bytes + i * kPageBytes, kPageBytes, seed_, hash);
    if (std::memcmp(hash, known + i * kPageHashBytes, kPageHashBytes) != 0) return false;
  }
  return true;
}

int PageScan::Clone(const std::string& directory) {
  if (!IsOpen()) return -EBADF;
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
