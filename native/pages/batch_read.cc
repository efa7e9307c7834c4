// Two passes over the paths. The first takes their stat rows, which decides how
// many paths fit and where each content goes; the second reads every file
// straight into its place. Both run on the pool, in slices of neighbouring
// paths, which mostly share their parent directory.
#include "pages/batch_read.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/thread_pool.h"
#include "pages/beneath.h"
#include "pages/xattr_list.h"

namespace dk::pages {
namespace {

constexpr size_t kSlice = 32;
// Rows are taken ahead of need by no more than this.
constexpr size_t kStatAhead = 512;
constexpr size_t kLinkBytesMax = 65536;

struct Item {
  StatRow row{};
  int32_t status = 0;
  uint32_t length = 0;
  size_t offset = 0;
  std::string link;
};

ssize_t ReadFully(int fd, uint8_t* out, size_t length) {
  size_t done = 0;
  while (done < length) {
    const ssize_t bytes = ::pread(fd, out + done, length - done, static_cast<off_t>(done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return -errno;
    if (bytes == 0) break;
    done += static_cast<size_t>(bytes);
  }
  return static_cast<ssize_t>(done);
}

class BatchRead {
 public:
  BatchRead(const BatchReadRequest& request, int root_fd)
      : request_(request), root_fd_(root_fd), items_(request.paths.size()) {}

  // Rows, and how many paths are handled. Returns the bytes their contents need.
  size_t Plan() {
    size_t total = 0;
    for (size_t begin = 0; begin < items_.size(); begin += kStatAhead) {
      const size_t end = std::min(begin + kStatAhead, items_.size());
      Slices(begin, end, [this](ParentCache* parents, size_t i) { Stat(parents, i); });
      for (size_t i = begin; i < end; ++i) {
        const size_t length = items_[i].length;
        if (i > 0 && total + length > request_.total_bytes_max) {
          items_.resize(i);
          return total;
        }
        items_[i].offset = total;
        total += length;
      }
    }
    return total;
  }

  void Read(uint8_t* data, BatchReadResult* result) {
    const size_t count = items_.size();
    result->digests.assign(count * kDigestBytes, 0);
    result->xattrs.resize(count);
    Slices(0, count, [&](ParentCache* parents, size_t i) {
      uint8_t* place = data + items_[i].offset;
      items_[i].status = ReadOne(parents, i, place, &result->xattrs[i]);
      if (items_[i].status != kReadDone) {
        items_[i].length = 0;
        result->xattrs[i].clear();
        return;
      }
      DigestOf(request_.algo, place, items_[i].length, &result->digests[i * kDigestBytes]);
    });
    Gather(data, result);
  }

 private:
  template <typename Body>
  void Slices(size_t begin, size_t end, const Body& body) {
    ParallelFor((end - begin + kSlice - 1) / kSlice, [&](size_t slice) {
      ParentCache parents(root_fd_);
      const size_t first = begin + slice * kSlice;
      for (size_t i = first; i < std::min(first + kSlice, end); ++i) body(&parents, i);
    });
  }

  void Stat(ParentCache* parents, size_t i) {
    Item& item = items_[i];
    const std::string& path = request_.paths[i];
    item.status = StatEntry(parents, path, &item.row);
    if (item.status != 0) return;
    const int64_t size = item.row[kSize];
    if (item.row[kType] == kFile) {
      if (size < 0 || static_cast<uint64_t>(size) > request_.file_bytes_max) {
        item.status = kReadTooLarge;
      } else {
        item.length = static_cast<uint32_t>(size);
      }
    } else if (item.row[kType] == kSymlink) {
      item.status = ReadLink(parents, path, &item.link);
      item.length = static_cast<uint32_t>(item.link.size());
    }
  }

  int StatEntry(ParentCache* parents, const std::string& path, StatRow* row) {
    struct stat status;
    const int parent = path.empty() ? root_fd_ : parents->Open(path);
    if (parent < 0) return parent;
    if (!path.empty() && !IsSafePath(path)) return -EINVAL;
    const int flags = AT_SYMLINK_NOFOLLOW | (path.empty() ? AT_EMPTY_PATH : 0);
    const std::string name(NameOf(path));
    if (::fstatat(parent, name.c_str(), &status, flags) != 0) return -errno;
    *row = RowOf(status);
    return 0;
  }

  int ReadLink(ParentCache* parents, const std::string& path, std::string* text) {
    const int parent = parents->Open(path);
    if (parent < 0) return parent;
    text->resize(kLinkBytesMax);
    const std::string name(NameOf(path));
    const ssize_t bytes = ::readlinkat(parent, name.c_str(), text->data(), text->size());
    const int error = errno;
    text->resize(bytes < 0 ? 0 : static_cast<size_t>(bytes));
    text->shrink_to_fit();
    if (bytes < 0) return error == EINVAL ? static_cast<int>(kReadTorn) : -error;
    return 0;
  }

  int32_t ReadOne(ParentCache* parents, size_t i, uint8_t* place, std::string* xattrs) {
    Item& item = items_[i];
    const std::string& path = request_.paths[i];
    if (item.status != 0) return item.status;
    switch (item.row[kType]) {
      case kSymlink:
        std::memcpy(place, item.link.data(), item.link.size());
        return kReadDone;
      case kDirectory:
        return ReadDirectory(path, xattrs);
      case kFile:
        return ReadFile(parents, path, &item, place, xattrs);
      default:
        return kReadDone;
    }
  }

  int32_t ReadDirectory(const std::string& path, std::string* xattrs) {
    const int fd = OpenForReading(root_fd_, path, O_DIRECTORY);
    // Its row is known all the same; only attributes cannot be read.
    if (fd == -EACCES) return kReadDone;
    if (fd == -ENOTDIR || fd == -ELOOP) return kReadTorn;
    if (fd < 0) return fd;
    const FileDescriptor held(fd);
    *xattrs = ReadXattrs(fd);
    return kReadDone;
  }

  int32_t ReadFile(ParentCache* parents, const std::string& path, Item* item, uint8_t* place, std::string* xattrs) {
    const int parent = parents->Open(path);
    if (parent < 0) return parent;
    const int fd = OpenForReading(parent, std::string(NameOf(path)), 0);
    if (fd == -ELOOP) return kReadTorn;  // a symbolic link took its place
    if (fd < 0) return fd;
    const FileDescriptor held(fd);
    struct stat status;
    if (::fstat(fd, &status) != 0) return -errno;
    const StatRow before = RowOf(status);
    const int64_t planned = item->row[kSize];
    item->row = before;
    if (before[kType] != kFile || before[kSize] != planned) return kReadTorn;
    const ssize_t bytes = ReadFully(fd, place, item->length);
    if (bytes < 0) return static_cast<int32_t>(bytes);
    *xattrs = ReadXattrs(fd);
    if (::fstat(fd, &status) != 0) return -errno;
    item->row = RowOf(status);
    const bool whole = static_cast<size_t>(bytes) == item->length;
    return whole && SameContent(before, item->row) ? kReadDone : kReadTorn;
  }

  // Closes the gaps that failures left, and moves the columns out.
  void Gather(uint8_t* data, BatchReadResult* result) {
    size_t end = 0;
    for (Item& item : items_) {
      if (item.length > 0 && item.offset != end) {
        std::memmove(data + end, data + item.offset, item.length);
      }
      end += item.length;
      result->status.push_back(item.status);
      result->rows.push_back(item.row);
      result->lengths.push_back(item.length);
    }
    result->data_bytes = end;
  }

  const BatchReadRequest& request_;
  const int root_fd_;
  std::vector<Item> items_;
};

}  // namespace

int ReadBatch(const BatchReadRequest& request, const ReadAllocate& allocate, BatchReadResult* result) {
  const int root = OpenRoot(request.root);
  if (root < 0) return root;
  const FileDescriptor held(root);
  BatchRead batch(request, root);
  const size_t bytes = batch.Plan();
  uint8_t* data = allocate(bytes);
  if (data == nullptr) return -ENOMEM;
  batch.Read(data, result);
  return 0;
}

}  // namespace dk::pages
