// vcdiffDiff, vcdiffPatch.
#include "binding/delta_job.h"
#include "binding/register.h"
#include "xdelta/vcdiff.h"

namespace dk {
namespace {

class VcdiffDiffJob : public DiffJob {
 public:
  explicit VcdiffDiffJob(const Napi::CallbackInfo& info) : DiffJob(info) {
    if (!info[2].IsBoolean()) ThrowType(info.Env(), "checksum must be a boolean");
    settings_.checksum = info[2].As<Napi::Boolean>().Value();
    settings_.stop = [this] { return Cancelled(); };
  }

 protected:
  void Execute() override { Accept(vcdiff::Diff(SpanOf(source_), SpanOf(target_), settings_, &delta_), "vcdiffDiff"); }

 private:
  vcdiff::Settings settings_;
};

class VcdiffPatchJob : public PatchJob {
 public:
  explicit VcdiffPatchJob(const Napi::CallbackInfo& info) : PatchJob(info, "delta", "targetBytesMax") {}

 protected:
  void Execute() override {
    uint64_t length = 0;
    const char* why = nullptr;
    const Status status = vcdiff::TargetLength(SpanOf(delta_), &length, &why);
    if (why != nullptr && status == Status::kUnsupported) {
      Fail("DK_UNSUPPORTED", std::string("vcdiffPatch: ") + why);
      return;
    }
    if (!Accept(status, "vcdiffPatch") || !MakeRoom("vcdiffPatch", length)) return;
    Accept(vcdiff::Patch(SpanOf(source_), SpanOf(delta_), target_.data(), length), "vcdiffPatch");
  }
};

}  // namespace

void RegisterVcdiff(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "vcdiffDiff", RunJob<VcdiffDiffJob>);
  Export(env, exports, "vcdiffPatch", RunJob<VcdiffPatchJob>);
}

}  // namespace dk
