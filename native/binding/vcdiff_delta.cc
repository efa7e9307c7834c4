// vcdiffDiff, vcdiffPatch.
#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "xdelta/vcdiff.h"

namespace dk {
namespace {

constexpr uint64_t kBufferBytesMax = 0xffffffff;

class VcdiffDiffJob : public Worker {
 public:
  explicit VcdiffDiffJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), source_(TakeBytes(info[0], "source", this)), target_(TakeBytes(info[1], "target", this)) {
    if (!info[2].IsBoolean()) ThrowType(info.Env(), "checksum must be a boolean");
    settings_.checksum = info[2].As<Napi::Boolean>().Value();
    settings_.stop = [this] { return Cancelled(); };
  }

 protected:
  void Execute() override {
    Accept(vcdiff::Diff({source_.data, source_.length}, {target_.data, target_.length}, settings_, &delta_),
           "vcdiffDiff");
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, delta_.data(), delta_.size()); }

 private:
  const Bytes source_;
  const Bytes target_;
  vcdiff::Settings settings_;
  std::vector<uint8_t> delta_;
};

class VcdiffPatchJob : public Worker {
 public:
  explicit VcdiffPatchJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        source_(TakeBytes(info[0], "source", this)),
        delta_(TakeBytes(info[1], "delta", this)),
        length_max_(TakeInteger(info[2], "targetBytesMax", 0, kBufferBytesMax)) {}

 protected:
  void Execute() override {
    uint64_t length = 0;
    const char* why = nullptr;
    const Status status = vcdiff::TargetLength({delta_.data, delta_.length}, &length, &why);
    if (why != nullptr && status == Status::kUnsupported) {
      Fail("DK_UNSUPPORTED", std::string("vcdiffPatch: ") + why);
      return;
    }
    if (!Accept(status, "vcdiffPatch")) return;
    if (length > length_max_) {
      Fail("DK_LIMIT", "vcdiffPatch: the delta makes " + std::to_string(length) + " bytes; at most " +
                           std::to_string(length_max_) + " are allowed");
      return;
    }
    target_ = Output(length);
    Accept(vcdiff::Patch({source_.data, source_.length}, {delta_.data, delta_.length}, target_.data(), length),
           "vcdiffPatch");
  }

  Napi::Value Resolve(Napi::Env env) override { return target_.ToBuffer(env); }

 private:
  const Bytes source_;
  const Bytes delta_;
  const uint64_t length_max_;
  Output target_;
};

}  // namespace

void RegisterVcdiff(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "vcdiffDiff", RunJob<VcdiffDiffJob>);
  Export(env, exports, "vcdiffPatch", RunJob<VcdiffPatchJob>);
}

}  // namespace dk
