// holdSpareMemory, releaseSpareMemory, spareMemory, trimSpareMemory, copyBytes: memory that is used again.
#include "binding/delta_job.h"
#include "binding/register.h"
#include "common/copy_bytes.h"
#include "common/memory_pool.h"
#include "common/thread_pool.h"

namespace dk {
namespace {

// How often this environment holds the pool. What it does not release itself is released when it ends.
struct Holds {
  size_t count = 0;
};

void ReleaseAll(void* held) {
  auto* holds = static_cast<Holds*>(held);
  for (; holds->count > 0; --holds->count) ReleaseSpareMemory(PoolFree);
  delete holds;
}

class CopyJob : public Worker {
 public:
  explicit CopyJob(const Napi::CallbackInfo& info) : Worker(info.Env()), data_(TakeLiveBytes(info[0], "data", this)) {}

 protected:
  void Execute() override {
    copy_ = Output(data_.length);
    CopyBytes(copy_.data(), data_.data, data_.length);
  }
  Napi::Value Resolve(Napi::Env env) override { return copy_.ToBuffer(env); }

 private:
  const Bytes data_;
  Output copy_;
};

}  // namespace

void RegisterSpareMemory(Napi::Env env, Napi::Object exports) {
  auto* holds = new Holds;
  napi_add_env_cleanup_hook(env, ReleaseAll, holds);
  Export(env, exports, "holdSpareMemory", [holds](const Napi::CallbackInfo& info) {
    HoldSpareMemory(TakeInteger(info[0], "bytesMax", 0, kBufferBytesMax), PoolFree);
    ++holds->count;
  });
  Export(env, exports, "releaseSpareMemory", [holds](const Napi::CallbackInfo&) {
    if (holds->count == 0) return;
    --holds->count;
    ReleaseSpareMemory(PoolFree);
  });
  Export(env, exports, "spareMemory", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(SpareMemory()));
  });
  Export(env, exports, "trimSpareMemory", [](const Napi::CallbackInfo& info) {
    TrimSpareMemory(static_cast<int64_t>(TakeInteger(info[0], "unusedMs", 0, UINT32_MAX)));
  });
  Export(env, exports, "copyBytes", RunJob<CopyJob>);
}

}  // namespace dk
