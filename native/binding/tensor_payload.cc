// tensorDiff, tensorPatch.
#include "binding/delta_job.h"
#include "binding/engine_options.h"
#include "binding/register.h"
#include "planes/planes.h"

namespace dk {
namespace {

// Values per region: begin, length, width, source (-1: none).
constexpr size_t kColumns = 4;

uint64_t Whole(Napi::Env env, double value) {
  if (!(value >= 0 && value <= 9007199254740991.0)) ThrowRange(env, "regions must hold whole numbers");
  return static_cast<uint64_t>(value);
}

std::vector<planes::Region> TakeRegions(Napi::Value value) {
  const Napi::Env env = value.Env();
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    ThrowType(env, "regions must be a Float64Array");
  }
  const Napi::Float64Array numbers = value.As<Napi::Float64Array>();
  const double* at = numbers.Data();
  std::vector<planes::Region> regions;
  for (size_t i = 0; i + kColumns <= numbers.ElementLength(); i += kColumns, at += kColumns) {
    const uint64_t source = at[3] < 0 ? planes::Region::kNoSource : Whole(env, at[3]);
    regions.push_back({Whole(env, at[0]), Whole(env, at[1]), static_cast<unsigned>(Whole(env, at[2]) & 0xff), source});
  }
  return regions;
}

class TensorDiffJob : public DiffJob {
 public:
  explicit TensorDiffJob(const Napi::CallbackInfo& info) : DiffJob(info) {
    options_.effort = TakeEffort<planes::Effort>(info[2]);
    regions_ = TakeRegions(info[3]);
    options_.simd = TakeSimd(info[4]);
    options_.stop = [this] { return Cancelled(); };
  }

 protected:
  void Execute() override {
    Accept(planes::Diff(SpanOf(source_), SpanOf(target_), regions_, options_, &delta_), "tensorDiff");
  }

 private:
  planes::Options options_;
  std::vector<planes::Region> regions_;
};

class TensorPatchJob : public PatchJob {
 public:
  explicit TensorPatchJob(const Napi::CallbackInfo& info)
      : PatchJob(info, "payload", "targetBytes"), simd_(TakeSimd(info[3])) {}

 protected:
  void Execute() override {
    target_ = Output(length_);
    Accept(planes::Patch(SpanOf(source_), SpanOf(delta_), target_.data(), length_, simd_), "tensorPatch");
  }

 private:
  const Simd simd_;
};

}  // namespace

void RegisterTensor(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "tensorDiff", RunJob<TensorDiffJob>);
  Export(env, exports, "tensorPatch", RunJob<TensorPatchJob>);
}

}  // namespace dk
