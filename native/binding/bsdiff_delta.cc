// bsdiffDiff, bsdiffPatch.
#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "bsdiff/bsdiff.h"

namespace dk {
namespace {

constexpr uint64_t kBufferBytesMax = 0xffffffff;

class BsdiffDiffJob : public Worker {
 public:
  explicit BsdiffDiffJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), source_(TakeBytes(info[0], "source", this)), target_(TakeBytes(info[1], "target", this)) {
    settings_.window_bytes = TakeOptionalInteger(info[2], "windowBytes", 2, 0x7fffffff, settings_.window_bytes);
    settings_.stop = [this] { return Cancelled(); };
  }

 protected:
  void Execute() override {
    Accept(bsdiff::Diff({source_.data, source_.length}, {target_.data, target_.length}, settings_, &delta_),
           "bsdiffDiff");
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, delta_.data(), delta_.size()); }

 private:
  const Bytes source_;
  const Bytes target_;
  bsdiff::Settings settings_;
  std::vector<uint8_t> delta_;
};

class BsdiffPatchJob : public Worker {
 public:
  explicit BsdiffPatchJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        source_(TakeBytes(info[0], "source", this)),
        delta_(TakeBytes(info[1], "delta", this)),
        length_max_(TakeInteger(info[2], "targetBytesMax", 0, kBufferBytesMax)) {}

 protected:
  void Execute() override {
    uint64_t length = 0;
    if (!Accept(bsdiff::TargetLength({delta_.data, delta_.length}, &length), "bsdiffPatch")) return;
    if (length > length_max_) {
      Fail("DK_LIMIT", "bsdiffPatch: the delta makes " + std::to_string(length) + " bytes; at most " +
                           std::to_string(length_max_) + " are allowed");
      return;
    }
    target_ = Output(length);
    Accept(bsdiff::Patch({source_.data, source_.length}, {delta_.data, delta_.length}, target_.data(), length),
           "bsdiffPatch");
  }

  Napi::Value Resolve(Napi::Env env) override { return target_.ToBuffer(env); }

 private:
  const Bytes source_;
  const Bytes delta_;
  const uint64_t length_max_;
  Output target_;
};

}  // namespace

void RegisterBsdiff(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "bsdiffDiff", RunJob<BsdiffDiffJob>);
  Export(env, exports, "bsdiffPatch", RunJob<BsdiffPatchJob>);
}

}  // namespace dk
