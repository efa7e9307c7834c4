#include "place/file_write.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace dk {
namespace place {
namespace {

constexpr size_t kZerosBytes = 1 << 20;

// Writes until all is written or something fails; `*done` counts from where it stands.
int WriteAll(int fd, const uint8_t* data, size_t length, uint64_t position, size_t* done) {
  while (*done < length) {
    const ssize_t put = pwrite(fd, data + *done, length - *done, static_cast<off_t>(position + *done));
    if (put < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    *done += static_cast<size_t>(put);
    // Only the end of a direct write may stop in the middle of a unit: the rest is not its business then.
    if (*done < length && *done % kDirectUnit != 0) return 0;
  }
  return 0;
}

#if defined(O_DIRECT)
// True when writes through this descriptor now go past the page cache, or no longer do.
bool SetDirect(int fd, bool direct) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return false;
  return fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

// The part that can go directly; how much of it did. A refusal leaves the rest to the page cache.
int WriteDirect(int fd, const uint8_t* data, size_t length, uint64_t position, size_t* done) {
  const bool fits = position % kDirectUnit == 0 && reinterpret_cast<uintptr_t>(data) % kDirectUnit == 0;
  const size_t units = length / kDirectUnit * kDirectUnit;
  if (!fits || units == 0 || !SetDirect(fd, true)) return 0;
  const int status = WriteAll(fd, data, units, position, done);
  if (!SetDirect(fd, false)) return -EIO;
  return status == -EINVAL || status == -EOPNOTSUPP ? 0 : status;
}
#endif

}  // namespace

int WriteAt(int fd, const uint8_t* data, size_t length, uint64_t position, bool* direct) {
  size_t done = 0;
#if defined(O_DIRECT)
  if (*direct) {
    const int status = WriteDirect(fd, data, length, position, &done);
    if (status != 0) return status;
  }
#endif
  *direct = done > 0;
  while (done < length) {
    const int status = WriteAll(fd, data, length, position, &done);
    if (status != 0) return status;
  }
  return 0;
}

struct RunningContent::State {
  explicit State(pages::DigestAlgo wanted) : algo(wanted) {
    if (algo == pages::DigestAlgo::kSha256) sha256 = std::make_unique<sha256::Hasher>();
  }

  const pages::DigestAlgo algo;
  blake3::Hasher blake3;
  std::unique_ptr<sha256::Hasher> sha256;
};

RunningContent::RunningContent(pages::DigestAlgo algo) : state_(std::make_unique<State>(algo)) {}

RunningContent::~RunningContent() = default;

void RunningContent::Update(const uint8_t* data, size_t length) {
  if (state_->sha256) {
    state_->sha256->Update(data, length);
  } else {
    state_->blake3.Update(data, length);
  }
  end_ += length;
}

void RunningContent::Zeros(uint64_t until) {
  if (end_ >= until) return;
  static const std::vector<uint8_t> zeros(kZerosBytes);
  while (end_ < until) Update(zeros.data(), static_cast<size_t>(std::min<uint64_t>(until - end_, zeros.size())));
}

void RunningContent::Add(uint64_t position, const uint8_t* data, size_t length) {
  Zeros(position);
  Update(data, length);
}

void RunningContent::Finish(uint64_t size, uint8_t out[pages::kDigestBytes]) {
  Zeros(size);
  if (state_->sha256) {
    state_->sha256->Finish(out);
  } else if (!state_->blake3.Finish(out)) {
    // Groups are never pushed by value here, so there is always an answer.
    std::fill_n(out, pages::kDigestBytes, uint8_t{0});
  }
}

}  // namespace place
}  // namespace dk
