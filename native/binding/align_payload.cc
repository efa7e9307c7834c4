// alignDiff, alignPatch.
#include "align/align.h"
#include "binding/delta_job.h"
#include "binding/register.h"

namespace dk {
namespace {

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

class AlignDiffJob : public DiffJob {
 public:
  explicit AlignDiffJob(const Napi::CallbackInfo& info) : DiffJob(info) {
    options_.effort = TakeEffort(info[2]);
    options_.simd = TakeSimd(info[3]);
    options_.stop = [this] { return Cancelled(); };
  }

 protected:
  void Execute() override { Accept(align::Diff(SpanOf(source_), SpanOf(target_), options_, &delta_), "alignDiff"); }

 private:
  align::Options options_;
};

class AlignPatchJob : public PatchJob {
 public:
  explicit AlignPatchJob(const Napi::CallbackInfo& info) : PatchJob(info, "payload", "targetBytes") {}

 protected:
  void Execute() override {
    target_ = Output(length_);
    Accept(align::Patch(SpanOf(source_), SpanOf(delta_), target_.data(), length_), "alignPatch");
  }
};

}  // namespace

void RegisterAlign(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "alignDiff", RunJob<AlignDiffJob>);
  Export(env, exports, "alignPatch", RunJob<AlignPatchJob>);
}

}  // namespace dk
