// bsdiffDiff, bsdiffPatch.
#include "binding/delta_job.h"
#include "binding/register.h"
#include "bsdiff/bsdiff.h"

namespace dk {
namespace {

class BsdiffDiffJob : public DiffJob {
 public:
  explicit BsdiffDiffJob(const Napi::CallbackInfo& info) : DiffJob(info) {
    settings_.window_bytes = TakeOptionalInteger(info[2], "windowBytes", 2, 0x7fffffff, settings_.window_bytes);
    settings_.stop = [this] { return Cancelled(); };
  }

 protected:
  void Execute() override { Accept(bsdiff::Diff(SpanOf(source_), SpanOf(target_), settings_, &delta_), "bsdiffDiff"); }

 private:
  bsdiff::Settings settings_;
};

class BsdiffPatchJob : public PatchJob {
 public:
  explicit BsdiffPatchJob(const Napi::CallbackInfo& info) : PatchJob(info, "delta", "targetBytesMax") {}

 protected:
  void Execute() override {
    uint64_t length = 0;
    if (!Accept(bsdiff::TargetLength(SpanOf(delta_), &length), "bsdiffPatch")) return;
    if (!MakeRoom("bsdiffPatch", length)) return;
    Accept(bsdiff::Patch(SpanOf(source_), SpanOf(delta_), target_.data(), length), "bsdiffPatch");
  }
};

}  // namespace

void RegisterBsdiff(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "bsdiffDiff", RunJob<BsdiffDiffJob>);
  Export(env, exports, "bsdiffPatch", RunJob<BsdiffPatchJob>);
}

}  // namespace dk
