// alignDiff, alignPatch.
#include "align/align.h"
#include "binding/delta_job.h"
#include "binding/engine_options.h"
#include "binding/register.h"

namespace dk {
namespace {

class AlignDiffJob : public DiffJob {
 public:
  explicit AlignDiffJob(const Napi::CallbackInfo& info) : DiffJob(info) {
    options_.effort = TakeEffort<align::Effort>(info[2]);
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
