// xorDiff, xorPatch.
#include "binding/delta_job.h"
#include "binding/register.h"
#include "xor/xor.h"

namespace dk {
namespace {

class XorDiffJob : public DiffJob {
 public:
  explicit XorDiffJob(const Napi::CallbackInfo& info)
      : DiffJob(info), level_(static_cast<int>(TakeOptionalInteger(info[2], "level", 1, 19, 3))) {}

 protected:
  void Execute() override {
    const auto stop = [this] { return Cancelled(); };
    Accept(xordelta::Diff(SpanOf(source_), SpanOf(target_), level_, &delta_, stop), "xorDiff");
  }

 private:
  const int level_;
};

class XorPatchJob : public PatchJob {
 public:
  explicit XorPatchJob(const Napi::CallbackInfo& info) : PatchJob(info, "payload", "targetBytes") {}

 protected:
  void Execute() override {
    target_ = Output(length_);
    Accept(xordelta::Patch(SpanOf(source_), SpanOf(delta_), target_.data(), length_), "xorPatch");
  }
};

}  // namespace

void RegisterXor(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "xorDiff", RunJob<XorDiffJob>);
  Export(env, exports, "xorPatch", RunJob<XorPatchJob>);
}

}  // namespace dk
