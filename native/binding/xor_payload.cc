// xorDiff, xorPatch.
#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "xor/xor.h"

namespace dk {
namespace {

constexpr uint64_t kBufferBytesMax = 0xffffffff;

class XorDiffJob : public Worker {
 public:
  explicit XorDiffJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        source_(TakeBytes(info[0], "source", this)),
        target_(TakeBytes(info[1], "target", this)),
        level_(static_cast<int>(TakeOptionalInteger(info[2], "level", 1, 19, 3))) {}

 protected:
  void Execute() override {
    Accept(xordelta::Diff({source_.data, source_.length}, {target_.data, target_.length}, level_, &payload_,
                          [this] { return Cancelled(); }),
           "xorDiff");
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, payload_.data(), payload_.size()); }

 private:
  const Bytes source_;
  const Bytes target_;
  const int level_;
  std::vector<uint8_t> payload_;
};

class XorPatchJob : public Worker {
 public:
  explicit XorPatchJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        source_(TakeBytes(info[0], "source", this)),
        payload_(TakeBytes(info[1], "payload", this)),
        length_(TakeInteger(info[2], "targetBytes", 0, kBufferBytesMax)) {}

 protected:
  void Execute() override {
    target_ = Output(length_);
    Accept(xordelta::Patch({source_.data, source_.length}, {payload_.data, payload_.length}, target_.data(), length_),
           "xorPatch");
  }

  Napi::Value Resolve(Napi::Env env) override { return target_.ToBuffer(env); }

 private:
  const Bytes source_;
  const Bytes payload_;
  const size_t length_;
  Output target_;
};

}  // namespace

void RegisterXor(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "xorDiff", RunJob<XorDiffJob>);
  Export(env, exports, "xorPatch", RunJob<XorPatchJob>);
}

}  // namespace dk
