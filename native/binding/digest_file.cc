// digestFile: the digest of a regular file, read in blocks of bounded size.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "binding/args.h"
#include "binding/digest_by.h"
#include "binding/register.h"
#include "binding/worker.h"

namespace dk {
namespace {

// A multiple of the 64 KiB group, so that BLAKE3 stays parallel from block to block.
constexpr size_t kBlockBytes = 2 << 20;

// Closes a descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// Reads until the block is full or the file ends; -1 with errno on failure.
ssize_t ReadBlock(int fd, uint8_t* block, size_t length) {
  size_t filled = 0;
  while (filled < length) {
    const ssize_t got = read(fd, block + filled, length - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return static_cast<ssize_t>(filled);
}

class DigestFileJob : public Worker {
 public:
  explicit DigestFileJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), algo_(TakeAlgo(info[0])), path_(TakeString(info[1], "path")) {}

 protected:
  void Execute() override {
    // Not blocking, so that opening a FIFO does not wait for a writer.
    const Descriptor file(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file.get() < 0) return FailErrno(errno, "open '" + path_ + "'");
    struct stat row;
    if (fstat(file.get(), &row) != 0) return FailErrno(errno, "stat '" + path_ + "'");
    if (S_ISDIR(row.st_mode)) return FailErrno(EISDIR, "digest '" + path_ + "'");
    if (!S_ISREG(row.st_mode)) return FailErrno(EINVAL, "digest '" + path_ + "'");
#if defined(POSIX_FADV_SEQUENTIAL)
    posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
    const size_t wanted = static_cast<size_t>(row.st_size) + 1;
    Hash(file.get(), std::vector<uint8_t>(std::min(kBlockBytes, wanted)));
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, digest_, sizeof digest_); }

 private:
  void Hash(int fd, std::vector<uint8_t> block) {
    blake3::Hasher blake3;
    sha256::Hasher sha256;
    for (;;) {
      if (Cancelled()) return;
      const ssize_t got = ReadBlock(fd, block.data(), block.size());
      if (got < 0) return FailErrno(errno, "read '" + path_ + "'");
      if (algo_ == Algo::kBlake3) {
        blake3.UpdateParallel(block.data(), static_cast<size_t>(got));
      } else {
        sha256.Update(block.data(), static_cast<size_t>(got));
      }
      if (static_cast<size_t>(got) < block.size()) break;
    }
    if (algo_ == Algo::kBlake3) {
      blake3.Finish(digest_);
    } else {
      sha256.Finish(digest_);
    }
  }

  const Algo algo_;
  const std::string path_;
  uint8_t digest_[kDigestBytes];
};

}  // namespace

void RegisterDigestFile(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "digestFile", RunJob<DigestFileJob>);
}

}  // namespace dk
