// pageHashes: a seeded hash per 4 KiB page of bytes in memory, as the file scan makes them of files.
#include "binding/args.h"
#include "binding/register.h"
#include "xxhash/xxhash_face.h"

namespace dk {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kHashBytes = 16;
constexpr size_t kSeedBytes = 16;
// Pages between two looks at the cancellation: about 10 ms.
constexpr size_t kStep = 16384;

class PageHashesJob : public Worker {
 public:
  explicit PageHashesJob(const Napi::CallbackInfo& info) : Worker(info.Env()), data_(TakeBytes(info[0], "data", this)) {
    const Bytes seed = TakeBytes(info[1], "seed");
    if (seed.length != kSeedBytes) ThrowRange(info.Env(), "seed must have 16 bytes");
    seed_ = xxhash::Hash64(seed.data, seed.length);
  }

 protected:
  void Execute() override {
    const size_t pages = (data_.length + kPageBytes - 1) / kPageBytes;
    hashes_ = Output(pages * kHashBytes);
    for (size_t i = 0; i < pages; ++i) {
      if (i % kStep == 0 && Cancelled()) {
        Accept(Status::kCancelled, "pageHashes");
        return;
      }
      const size_t start = i * kPageBytes;
      const size_t length = data_.length - start < kPageBytes ? data_.length - start : kPageBytes;
      xxhash::Hash128(data_.data + start, length, seed_, hashes_.data() + i * kHashBytes);
    }
  }

  Napi::Value Resolve(Napi::Env env) override { return hashes_.ToBuffer(env); }

 private:
  const Bytes data_;
  uint64_t seed_ = 0;
  Output hashes_;
};

}  // namespace

void RegisterPageHashes(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "pageHashes", RunJob<PageHashesJob>);
}

}  // namespace dk
