// alignDiff, alignPatch.
#include "align/align.h"
#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"

namespace dk {
namespace {

constexpr uint64_t kBufferBytesMax = 0xffffffff;

align::Effort TakeEffort(Napi::Value value) {
  const std::string name = TakeString(value, "effort");
  if (name == "fast") return align::Effort::kFast;
  if (name == "balanced") return align::Effort::kBalanced;
  if (name == "max") return align::Effort::kMax;
  ThrowType(value.Env(), "effort must be 'fast', 'balanced' or 'max'");
}

// Only for tests, which hold the levels against each other: the payload does not depend on it.
Simd TakeSimd(Napi::Value value) {
  if (value.IsUndefined()) return CpuSimd();
  const std::string name = TakeString(value, "simd");
  if (name == "portable") return Simd::kPortable;
  if (name == "neon") return Simd::kNeon;
  if (name == "sse2") return Simd::kSse2;
  if (name == "avx2") return Simd::kAvx2;
  if (name == "avx512") return Simd::kAvx512;
  ThrowType(value.Env(), "simd must name a level");
}

class AlignDiffJob : public Worker {
 public:
  explicit AlignDiffJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), source_(TakeBytes(info[0], "source", this)), target_(TakeBytes(info[1], "target", this)) {
    options_.effort = TakeEffort(info[2]);
    options_.simd = TakeSimd(info[3]);
    options_.stop = [this] { return Cancelled(); };
  }

 protected:
  void Execute() override {
    Accept(align::Diff({source_.data, source_.length}, {target_.data, target_.length}, options_, &payload_),
           "alignDiff");
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, payload_.data(), payload_.size()); }

 private:
  const Bytes source_;
  const Bytes target_;
  align::Options options_;
  std::vector<uint8_t> payload_;
};

class AlignPatchJob : public Worker {
 public:
  explicit AlignPatchJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        source_(TakeBytes(info[0], "source", this)),
        payload_(TakeBytes(info[1], "payload", this)),
        length_(TakeInteger(info[2], "targetBytes", 0, kBufferBytesMax)) {}

 protected:
  void Execute() override {
    target_ = Output(length_);
    Accept(align::Patch({source_.data, source_.length}, {payload_.data, payload_.length}, target_.data(), length_),
           "alignPatch");
  }

  Napi::Value Resolve(Napi::Env env) override { return target_.ToBuffer(env); }

 private:
  const Bytes source_;
  const Bytes payload_;
  const size_t length_;
  Output target_;
};

}  // namespace

void RegisterAlign(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "alignDiff", RunJob<AlignDiffJob>);
  Export(env, exports, "alignPatch", RunJob<AlignPatchJob>);
}

}  // namespace dk
