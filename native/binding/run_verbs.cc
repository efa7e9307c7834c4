// readRuns, prefetchRuns: many pieces of one file in one crossing.
#include <cmath>

#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "pages/run_read.h"

namespace dk {
namespace {

constexpr double kOffsetMax = 9007199254740991.0;  // 2^53 - 1
constexpr uint64_t kRunsBytesMax = uint64_t{1} << 31;
constexpr size_t kRunsMax = 1 << 20;

// Pairs (offset, length) of a Float64Array, copied: what was checked is what is used.
std::vector<pages::Run> TakeRuns(Napi::Value value, uint64_t* total) {
  const Napi::Env env = value.Env();
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    ThrowType(env, "runs must be a Float64Array");
  }
  const Napi::Float64Array numbers = value.As<Napi::Float64Array>();
  const size_t count = numbers.ElementLength();
  if (count % 2 != 0 || count / 2 > kRunsMax) ThrowRange(env, "runs must be pairs of offset and length");
  std::vector<pages::Run> runs(count / 2);
  *total = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const double offset = numbers[2 * i];
    const double length = numbers[2 * i + 1];
    if (!(offset >= 0 && length >= 0 && offset + length <= kOffsetMax) || offset != std::floor(offset) ||
        length != std::floor(length)) {
      ThrowRange(env, "offsets and lengths of runs must be whole numbers of at least 0");
    }
    runs[i] = {static_cast<uint64_t>(offset), static_cast<uint64_t>(length)};
    *total += runs[i].length;
    if (*total > kRunsBytesMax) throw MakeError(env, "DK_LIMIT", "the runs add up to more than 2 GiB");
  }
  return runs;
}

class RunsJob : public Worker {
 public:
  explicit RunsJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        fd_(static_cast<int>(TakeInteger(info[0], "fd", 0, 0x7fffffff))),
        runs_(TakeRuns(info[1], &total_)) {}

 protected:
  uint64_t total_ = 0;
  const int fd_;
  const std::vector<pages::Run> runs_;
};

class ReadRunsJob : public RunsJob {
 public:
  explicit ReadRunsJob(const Napi::CallbackInfo& info) : RunsJob(info) {
    const Bytes into = TakeBytes(info[2], "into", this);
    if (into.copy) ThrowType(info.Env(), "into must not be shared or resizable memory");
    if (into.length < total_) ThrowRange(info.Env(), "into is shorter than the runs");
    into_ = const_cast<uint8_t*>(into.data);
  }

 protected:
  void Execute() override {
    done_ = pages::ReadRuns(fd_, runs_, into_, [this] { return Cancelled(); });
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Float64Array array = Napi::Float64Array::New(env, done_.size());
    for (size_t i = 0; i < done_.size(); ++i) array[i] = static_cast<double>(done_[i]);
    return array;
  }

 private:
  uint8_t* into_ = nullptr;
  std::vector<int64_t> done_;
};

class PrefetchRunsJob : public RunsJob {
 public:
  using RunsJob::RunsJob;

 protected:
  void Execute() override { pages::AdviseRuns(fd_, runs_); }
  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }
};

}  // namespace

void RegisterRuns(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "readRuns", RunJob<ReadRunsJob>);
  Export(env, exports, "prefetchRuns", RunJob<PrefetchRunsJob>);
}

}  // namespace dk
