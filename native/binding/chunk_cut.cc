// cut: lengths of the content-defined pieces.
#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "chunk/chunk.h"

namespace dk {
namespace {

class CutJob : public Worker {
 public:
  explicit CutJob(const Napi::CallbackInfo& info) : Worker(info.Env()), bytes_(TakeBytes(info[0], "data", this)) {
    const Napi::Object options = TakeObject(info[1], "options");
    sizes_.min_bytes = Size(options, "minBytes");
    sizes_.average_bytes = Size(options, "averageBytes");
    sizes_.max_bytes = Size(options, "maxBytes");
    if (!chunk::Valid(sizes_)) {
      ThrowRange(info.Env(), "minBytes <= averageBytes <= maxBytes must hold");
    }
  }

 protected:
  void Execute() override {
    lengths_ = chunk::Cut(bytes_.data, bytes_.length, sizes_, [this] { return Cancelled(); });
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToUint32Array(env, lengths_); }

 private:
  static uint32_t Size(const Napi::Object& options, const char* name) {
    return static_cast<uint32_t>(TakeInteger(options.Get(name), name, 64, 1 << 30));
  }

  const Bytes bytes_;
  chunk::Sizes sizes_{};
  std::vector<uint32_t> lengths_;
};

}  // namespace

void RegisterChunk(Napi::Env env, Napi::Object exports) { Export(env, exports, "cut", RunJob<CutJob>); }

}  // namespace dk
