// Scans one large file against the page table of its source version: which
// pages differ, the new table, and the digest of the whole, in one pass.
//
//   file    | block 256 KiB      | block              | ... | rest |
//   groups  | 64K | 64K | 64K | 64K | ...             a BLAKE3 value per full group
//   pages   |4K|4K|4K| ...                            an XXH3-128 per page, the last one over its actual bytes
//
// Not for several threads at once; the calls spread over the pool themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pages/beneath.h"
#include "pages/content_digest.h"
#include "pages/mapped_file.h"
#include "pages/stat_row.h"

namespace dk::pages {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPageHashBytes = 16;
constexpr size_t kGroupBytes = blake3::kGroupBytes;
constexpr size_t kGroupPages = kGroupBytes / kPageBytes;
constexpr size_t kBlockBytes = 256 << 10;
constexpr size_t kBlockGroups = kBlockBytes / kGroupBytes;
constexpr size_t kSeedBytes = 16;
// Held bytes of a file that one thread goes through as quickly as it finds another one to help.
constexpr size_t kHeldAloneBytes = 256 << 10;

// The tables of the source version, and what was filled by Hold. Memory of the caller.
struct PageSource {
  const uint8_t* pages = nullptr;
  size_t pages_bytes = 0;
  const uint8_t* groups = nullptr;
  size_t groups_bytes = 0;
  uint64_t file_bytes = 0;
  const uint8_t* held = nullptr;
};

struct PageRange {
  uint64_t offset;
  uint64_t length;
  bool zero;
};

struct PageStep {
  // Ascending, whole pages but at the end of file; data and zero ranges are never merged.
  std::vector<PageRange> ranges;
  // Bytes of the ranges that are not zero.
  std::vector<uint8_t> data;
  bool done = false;
};

struct PageOutcome {
  StatRow row{};
  bool torn = false;
  uint8_t digest[kDigestBytes] = {};
  std::string xattrs;
};

class PageScan {
 public:
  PageScan(DigestAlgo algo, const uint8_t seed[kSeedBytes]);

  // 0 or a negative errno; -EISDIR, -EINVAL... when it is no regular file. Never follows a symbolic link.
  int Open(const std::string& root, const std::string& path);
  const StatRow& row() const { return row_; }
  // Whether all of the file is mapped as it was when it was opened or begun anew, and is no longer than `bytes_max`: to
  // map and to hold it is a matter of memory alone.
  bool IsMapped(uint64_t bytes_max) const { return size() > 0 && size() <= bytes_max && mapped_.Covers(size()); }
  // Whether Finish asks the system for nothing.
  bool IsHeld() const { return HeldInMemory(); }
  bool IsOpen() const { return file_.get() >= 0 || HeldInMemory(); }

  // Before Hold: has the bytes at hand, so that Hold is quicker. False when that cannot be.
  bool Map();
  // Begins anew with the file as it is now, for another source version; what is mapped stays. 0 or a negative errno:
  // -EBADF when it is not open, was cloned, or was held without being mapped.
  int Renew();
  // Before the first step: takes the file as it is now, so that the steps are made from that, whatever becomes of the
  // file. Hold copies into `into` what the source version lacks (groups of 64 KiB in which a page differs; `source` is
  // the one of all steps), also when the file moved since it was opened (row() tells), and Clone all of it into a
  // nameless file in `directory` that shares its blocks. What was held and is not mapped needs no descriptor any more
  // and gives it back: there may be thousands. 1 when that was done; 0 when not, and then nothing has
  // changed: it does not fit, it is or was empty, it moves, for Clone also since it was opened, the file system cannot
  // share blocks; -EBADF when it is not open.
  int Hold(const PageSource& source, uint8_t* into, size_t bytes);
  int Clone(const std::string& directory);
  // How much of `into` a Hold that was done has filled.
  size_t held_bytes() const { return held_bytes_; }

  // 0 or a negative errno. `source` must stay readable during the call. At most `data_bytes_max` (at least 256 KiB) of
  // changed bytes are handed out.
  int Next(const PageSource& source, size_t data_bytes_max, PageStep* step);
  // After a step that was done. 0 or a negative errno (-EBUSY when steps are missing).
  int Finish(PageOutcome* outcome);
  // Gives everything back but the tables.
  void Close();

  // Complete after Finish.
  std::vector<uint8_t>& pages() { return pages_; }
  std::vector<uint8_t>& groups() { return groups_; }

 private:
  struct Block {
    uint64_t offset = 0;
    size_t length = 0;
    int error = 0;
    bool torn = false;
    uint64_t changed = 0;  // one bit per page
    uint64_t zero = 0;     // of the changed ones
    // Null for a group that is known to be as in the source version.
    const uint8_t* groups[kBlockGroups] = {};
    std::vector<uint8_t> bytes;  // what they point into, unless the file is held in memory
  };
  // Place in held memory of a group that is not there, because it is as in the source version.
  static constexpr uint64_t kKnown = UINT64_MAX;
  class HoldRoom;
  // What was known when the file was taken.
  struct Held {
    StatRow row;
    std::string xattrs;
    bool in_memory;
  };

  uint64_t size() const { return static_cast<uint64_t>(row_[kSize]); }
  bool HeldInMemory() const { return held_ && held_->in_memory; }
  bool TakeGroups(HoldRoom* room);
  bool TakePiece(size_t first, size_t end, HoldRoom* room);
  bool CopyGroup(size_t group, HoldRoom* room);
  bool ReadGroup(size_t group, size_t length, uint8_t* into) const;
  bool InSource(uint64_t group) const;
  bool IsSourceGroup(uint64_t group, const uint8_t* bytes) const;
  bool KeepHeld(bool in_memory);
  void Forget();
  size_t PlanWave(uint64_t end, size_t room);
  void ScanBlocks(size_t count);
  void MakeRoom(size_t count, size_t room, PageStep* step) const;
  void ScanBlock(Block* block);
  void ReadBlock(Block* block);
  void FindHeld(Block* block);
  void ScanGroup(Block* block, size_t index);
  void ComparePages(Block* block, size_t index, size_t length);
  void KeepTail(const Block& block);
  bool IsSourcePage(uint64_t page, size_t length, const uint8_t* hash) const;
  bool KeepsGroup(const Block& block, uint64_t group) const;
  int TakeBlock(Block* block, PageStep* step);
  void BorrowBuffer(Block* block);
  void ReturnBuffer(Block* block);

  const DigestAlgo algo_;
  const uint64_t seed_;
  PageSource source_;  // valid during Hold and Next
  FileDescriptor file_;
  StatRow row_{};
  uint64_t at_ = 0;
  bool torn_ = false;
  bool done_ = false;
  MappedFile mapped_;
  std::optional<Held> held_;
  // Where each group lies in held memory, or kKnown.
  std::vector<uint64_t> places_;
  size_t held_bytes_ = 0;
  std::vector<uint8_t> pages_;
  std::vector<uint8_t> groups_;
  // Bytes that no group value stands for: those behind the last full group, or a whole file of one group.
  std::vector<uint8_t> tail_;
  std::unique_ptr<sha256::Hasher> sha256_;
  std::vector<Block> blocks_;
  std::mutex buffers_mutex_;
  std::vector<std::vector<uint8_t>> buffers_;
};

}  // namespace dk::pages
