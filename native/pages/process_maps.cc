#include "pages/process_maps.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>

#include "pages/beneath.h"

namespace dk::pages {
namespace {

// `struct procmap_query` of linux/fs.h, which older headers lack.
struct ProcmapQuery {
  uint64_t size;
  uint64_t query_flags;
  uint64_t query_addr;
  uint64_t vma_start;
  uint64_t vma_end;
  uint64_t vma_flags;
  uint64_t vma_page_size;
  uint64_t vma_offset;
  uint64_t inode;
  uint32_t dev_major;
  uint32_t dev_minor;
  uint32_t vma_name_size;
  uint32_t build_id_size;
  uint64_t vma_name_addr;
  uint64_t build_id_addr;
};

constexpr uint64_t kWritable = 0x02;
constexpr uint64_t kShared = 0x08;
constexpr uint64_t kCoveringOrNext = 0x10;
constexpr uint64_t kFileBacked = 0x20;
// More than any process has: a kernel that does not move on must not keep us here.
constexpr int kMappingsMax = 1 << 20;

}  // namespace

int WritableMappings(int pid, std::vector<std::string>* names) {
#if defined(__linux__)
  const std::string path = "/proc/" + std::to_string(pid) + "/maps";
  const FileDescriptor maps(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (maps.get() < 0) return -errno;
  // _IOWR('f', 17, struct procmap_query)
  const unsigned long request = _IOWR('f', 17, ProcmapQuery);
  char name[PATH_MAX];
  uint64_t at = 0;
  for (int i = 0; i < kMappingsMax; ++i) {
    ProcmapQuery query{};
    query.size = sizeof query;
    query.query_flags = kWritable | kShared | kFileBacked | kCoveringOrNext;
    query.query_addr = at;
    query.vma_name_size = sizeof name;
    query.vma_name_addr = reinterpret_cast<uint64_t>(name);
    if (::ioctl(maps.get(), request, &query) != 0) return errno == ENOENT ? 0 : -errno;
    if (query.vma_name_size > 1 && query.vma_name_size <= sizeof name) {
      names->emplace_back(name, query.vma_name_size - 1);
    }
    if (query.vma_end <= at) return -EIO;
    at = query.vma_end;
  }
  return -EIO;
#else
  (void)pid, (void)names;
  return -ENOTTY;
#endif
}

}  // namespace dk::pages
