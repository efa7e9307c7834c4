// Method: waves of blocks. The blocks of a wave are read, hashed and compared
// on the pool; then they are taken in order. A thread reads every unchanged
// block into the same buffer, which therefore stays in its cache: such a file
// costs one copy out of the page cache and one pass of XXH3. BLAKE3 runs only
// over groups with a changed page.
#include "pages/page_scan.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/thread_pool.h"
#include "pages/run_read.h"
#include "pages/xattr_list.h"
#include "xxhash/xxhash_face.h"

namespace dk::pages {
namespace {

constexpr size_t kBlockPages = kBlockBytes / kPageBytes;
static_assert(kBlockPages == 64, "the page marks of a block are the bits of one word");
// Blocks in flight: enough that the start and the end of a wave do not show.
constexpr size_t kWaveBlocks = 32;
// A step ends after this much of the file, so that the caller hears from us.
constexpr uint64_t kStepBytes = 64 << 20;

bool IsZero(const uint8_t* data, size_t length) { return data[0] == 0 && std::memcmp(data, data + 1, length - 1) == 0; }

}  // namespace

PageScan::PageScan(DigestAlgo algo, const uint8_t seed[kSeedBytes])
    : algo_(algo), seed_(xxhash::Hash64(seed, kSeedBytes)) {
  if (algo == DigestAlgo::kSha256) sha256_ = std::make_unique<sha256::Hasher>();
}

int PageScan::Open(const std::string& root, const std::string& path) {
  const int root_fd = OpenRoot(root);
  if (root_fd < 0) return root_fd;
  const FileDescriptor held(root_fd);
  if (!IsSafePath(path)) return -EINVAL;
  // Looked at before it is opened: opening a device or a pipe can have effects.
  const int look = OpenBeneath(root_fd, path, O_PATH);
  if (look < 0) return look;
  const FileDescriptor looked(look);
  struct stat status;
  if (::fstat(look, &status) != 0) return -errno;
  if (S_ISDIR(status.st_mode)) return -EISDIR;
  if (S_ISLNK(status.st_mode)) return -ELOOP;
  if (!S_ISREG(status.st_mode)) return -EINVAL;
  const int fd = OpenForReading(root_fd, path, 0);
  if (fd < 0) return fd;
  file_.Reset(fd);
  if (::fstat(fd, &status) != 0) return -errno;
  if (!S_ISREG(status.st_mode)) return -EINVAL;
  row_ = RowOf(status);
  done_ = size() == 0;
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return 0;
}

void PageScan::Close() {
  file_.Reset();
  mapped_.Unmap();
  Forget();
}

void PageScan::Forget() {
  held_.reset();
  std::vector<uint64_t>().swap(places_);
  std::vector<Block>().swap(blocks_);
  std::vector<std::vector<uint8_t>>().swap(buffers_);
}

int PageScan::Renew() {
  // A clone is no longer the file.
  if (file_.get() < 0 || (held_ && !HeldInMemory())) return -EBADF;
  struct stat status;
  if (::fstat(file_.get(), &status) != 0) return -errno;
  Forget();
  row_ = RowOf(status);
  at_ = 0;
  torn_ = false;
  done_ = size() == 0;
  held_bytes_ = 0;
  pages_.clear();
  groups_.clear();
  tail_.clear();
  if (sha256_) sha256_ = std::make_unique<sha256::Hasher>();
  return 0;
}

int PageScan::Next(const PageSource& source, size_t data_bytes_max, PageStep* step) {
  if (!IsOpen()) return -EBADF;
  if (HeldInMemory() && source.held == nullptr) return -EINVAL;
  source_ = source;
  const size_t room = std::max(data_bytes_max, kBlockBytes);
  const uint64_t end = std::min(size(), at_ + kStepBytes);
  while (at_ < end && !torn_ && step->data.size() + kBlockBytes <= room) {
    const size_t count = PlanWave(end, (room - step->data.size()) / kBlockBytes);
    ScanBlocks(count);
    MakeRoom(count, room, step);
    for (size_t i = 0; i < count; ++i) {
      const int status = TakeBlock(&blocks_[i], step);
      if (status != 0) return status;
      if (torn_) break;
    }
  }
  if (at_ >= size() || torn_) done_ = true;
  step->done = done_;
  return 0;
}

void PageScan::ScanBlocks(size_t count) {
  // To have another thread help takes longer than to go through so little.
  if (HeldInMemory() && held_bytes_ <= kHeldAloneBytes) {
    for (size_t i = 0; i < count; ++i) ScanBlock(&blocks_[i]);
    return;
  }
  ParallelFor(count, [this](size_t i) { ScanBlock(&blocks_[i]); });
}

// For what these blocks changed, at once: bytes that are moved each time the room grows are met in fresh memory each
// time, which takes several times as long as to copy them. Of a file that is held all is known that may come.
void PageScan::MakeRoom(size_t count, size_t room, PageStep* step) const {
  size_t bytes = step->data.size();
  for (size_t i = 0; i < count; ++i) {
    const Block& block = blocks_[i];
    if (block.error != 0 || block.torn) break;
    for (uint64_t left = block.changed & ~block.zero; left != 0; left &= left - 1) bytes += kPageBytes;
  }
  if (bytes <= step->data.capacity()) return;
  const size_t grown = std::min(2 * step->data.capacity(), room);
  const size_t rest = HeldInMemory() ? std::min(held_bytes_, room) : 0;
  step->data.reserve(std::max({bytes, grown, rest}));
}

// Lays out the next blocks and makes room in the tables, which grow with what
// was really read: a sparse giant must not claim memory for its length.
size_t PageScan::PlanWave(uint64_t end, size_t room) {
  const uint64_t left = (end - at_ + kBlockBytes - 1) / kBlockBytes;
  const size_t count = static_cast<size_t>(std::min<uint64_t>({left, room, kWaveBlocks}));
  if (blocks_.size() < count) blocks_.resize(count);
  uint64_t offset = at_;
  for (size_t i = 0; i < count; ++i) {
    Block& block = blocks_[i];
    block.offset = offset;
    block.length = static_cast<size_t>(std::min<uint64_t>(kBlockBytes, size() - offset));
    block.error = 0;
    block.torn = false;
    block.changed = block.zero = 0;
    offset += block.length;
  }
  pages_.resize((offset + kPageBytes - 1) / kPageBytes * kPageHashBytes);
  if (algo_ == DigestAlgo::kBlake3) groups_.resize(offset / kGroupBytes * kDigestBytes);
  return count;
}

void PageScan::BorrowBuffer(Block* block) {
  if (!block->bytes.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(buffers_mutex_);
    if (!buffers_.empty()) {
      block->bytes = std::move(buffers_.back());
      buffers_.pop_back();
    }
  }
  block->bytes.resize(kBlockBytes);
}

void PageScan::ReturnBuffer(Block* block) {
  const std::lock_guard<std::mutex> lock(buffers_mutex_);
  buffers_.push_back(std::move(block->bytes));
  block->bytes.clear();
}

void PageScan::ScanBlock(Block* block) {
  const bool held = HeldInMemory();
  if (held) {
    FindHeld(block);
  } else {
    BorrowBuffer(block);
    ReadBlock(block);
    for (size_t i = 0; i < kBlockGroups; ++i) block->groups[i] = block->bytes.data() + i * kGroupBytes;
  }
  if (block->error != 0 || block->torn) return;
  for (size_t i = 0; i * kGroupBytes < block->length; ++i) ScanGroup(block, i);
  // Only one block reaches the end of the file, so only one thread comes here.
  if (algo_ == DigestAlgo::kBlake3 && block->offset + block->length == size()) KeepTail(*block);
  const bool needed = block->changed != block->zero || algo_ == DigestAlgo::kSha256;
  if (!needed && !held) ReturnBuffer(block);
}

void PageScan::FindHeld(Block* block) {
  const uint64_t first = block->offset / kGroupBytes;
  for (size_t i = 0; i * kGroupBytes < block->length; ++i) {
    const uint64_t place = places_[first + i];
    block->groups[i] = place == kKnown ? nullptr : source_.held + place;
    // The source is another one than when the file was taken.
    if (place == kKnown && !InSource(first + i)) block->error = -EINVAL;
  }
}

void PageScan::ReadBlock(Block* block) {
  const int64_t done = ReadRun(file_.get(), Run{block->offset, block->length}, block->bytes.data());
  if (done < 0) block->error = static_cast<int>(done);
  // Shorter than it was when it was opened.
  else if (static_cast<uint64_t>(done) < block->length)
    block->torn = true;
}

bool PageScan::IsSourcePage(uint64_t page, size_t length, const uint8_t* hash) const {
  if (page >= source_.pages_bytes / kPageHashBytes) return false;
  const uint64_t offset = page * kPageBytes;
  if (offset >= source_.file_bytes) return false;
  if (std::min<uint64_t>(kPageBytes, source_.file_bytes - offset) != length) return false;
  return std::memcmp(source_.pages + page * kPageHashBytes, hash, kPageHashBytes) == 0;
}

// Page hashes, marks and the value of one group; each of them is only looked at by one thread.
void PageScan::ScanGroup(Block* block, size_t index) {
  const uint64_t group = block->offset / kGroupBytes + index;
  const size_t length = std::min(kGroupBytes, block->length - index * kGroupBytes);
  const uint8_t* bytes = block->groups[index];
  if (bytes != nullptr) {
    ComparePages(block, index, length);
  } else {
    const uint64_t at = group * kGroupPages * kPageHashBytes;
    std::memcpy(pages_.data() + at, source_.pages + at, kGroupPages * kPageHashBytes);
  }
  if (algo_ != DigestAlgo::kBlake3 || length < kGroupBytes) return;
  uint8_t* value = groups_.data() + group * kDigestBytes;
  if (KeepsGroup(*block, group)) {
    std::memcpy(value, source_.groups + group * kDigestBytes, kDigestBytes);
  } else {
    blake3::GroupValue(bytes, group, value);
  }
}

void PageScan::ComparePages(Block* block, size_t index, size_t length) {
  const uint64_t first = block->offset / kPageBytes;
  for (size_t at = 0, i = index * kGroupPages; at < length; at += kPageBytes, ++i) {
    const uint8_t* bytes = block->groups[index] + at;
    const size_t page_bytes = std::min(kPageBytes, length - at);
    uint8_t* hash = pages_.data() + (first + i) * kPageHashBytes;
    xxhash::Hash128(bytes, page_bytes, seed_, hash);
    if (IsSourcePage(first + i, page_bytes, hash)) continue;
    block->changed |= uint64_t{1} << i;
    if (IsZero(bytes, page_bytes)) block->zero |= uint64_t{1} << i;
  }
}

// A group keeps its value when it was full before and none of its pages changed.
bool PageScan::KeepsGroup(const Block& block, uint64_t group) const {
  if (group >= source_.groups_bytes / kDigestBytes) return false;
  if ((group + 1) * kGroupBytes > source_.file_bytes) return false;
  const size_t shift = static_cast<size_t>(group - block.offset / kGroupBytes) * kGroupPages;
  return ((block.changed >> shift) & ((uint64_t{1} << kGroupPages) - 1)) == 0;
}

// The last group is always there: what is taken of a file has it, whatever it is.
void PageScan::KeepTail(const Block& block) {
  const size_t full = size() == kGroupBytes ? 0 : block.length / kGroupBytes;
  const size_t length = block.length - full * kGroupBytes;
  if (length == 0) {
    tail_.clear();
  } else {
    tail_.assign(block.groups[full], block.groups[full] + length);
  }
}

// In file order: appends what the block changed to the step.
int PageScan::TakeBlock(Block* block, PageStep* step) {
  if (block->error != 0) return block->error;
  if (block->torn) {
    torn_ = true;
    return 0;
  }
  for (size_t at = 0, i = 0; sha256_ && at < block->length; at += kGroupBytes, ++i) {
    sha256_->Update(block->groups[i], std::min(kGroupBytes, block->length - at));
  }
  for (size_t at = 0, i = 0; at < block->length; at += kPageBytes, ++i) {
    if (((block->changed >> i) & 1) == 0) continue;
    const bool zero = ((block->zero >> i) & 1) != 0;
    const size_t length = std::min(kPageBytes, block->length - at);
    const uint64_t offset = block->offset + at;
    PageRange* last = step->ranges.empty() ? nullptr : &step->ranges.back();
    if (last != nullptr && last->zero == zero && last->offset + last->length == offset) {
      last->length += length;
    } else {
      step->ranges.push_back(PageRange{offset, length, zero});
    }
    if (!zero) {
      const uint8_t* bytes = block->groups[i / kGroupPages] + at % kGroupBytes;
      step->data.insert(step->data.end(), bytes, bytes + length);
    }
  }
  if (!block->bytes.empty()) ReturnBuffer(block);
  at_ = block->offset + block->length;
  return 0;
}

int PageScan::Finish(PageOutcome* outcome) {
  if (!IsOpen()) return -EBADF;
  if (!done_) return -EBUSY;
  if (held_) {
    outcome->xattrs = held_->xattrs;
    outcome->row = held_->row;
  } else {
    outcome->xattrs = ReadXattrs(file_.get());
    struct stat status;
    if (::fstat(file_.get(), &status) != 0) return -errno;
    outcome->row = RowOf(status);
  }
  outcome->torn = torn_ || !SameContent(row_, outcome->row);
  // The digest of what was read would name bytes that the file never held at one moment.
  if (torn_) return 0;
  if (sha256_) {
    sha256_->Finish(outcome->digest);
    return 0;
  }
  const size_t count = size() == kGroupBytes ? 0 : groups_.size() / kDigestBytes;
  const bool rooted = blake3::RootFromGroups(groups_.data(), count, tail_.data(), tail_.size(), outcome->digest);
  return rooted ? 0 : -EIO;
}

}  // namespace dk::pages
