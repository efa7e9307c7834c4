// readRuns, readPieces, prefetchRuns: many pieces of one file in one crossing.
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
    if (TakeInto(info, 2) < total_) ThrowRange(info.Env(), "into is shorter than the runs");
  }

 protected:
  // For those that check the room themselves.
  struct Unchecked {};
  ReadRunsJob(const Napi::CallbackInfo& info, Unchecked) : RunsJob(info) {}

  // The room to read to, and its length.
  uint64_t TakeInto(const Napi::CallbackInfo& info, size_t position) {
    const Bytes into = TakeBytes(info[position], "into", this);
    if (into.copy) ThrowType(info.Env(), "into must not be shared or resizable memory");
    into_ = const_cast<uint8_t*>(into.data);
    return into.length;
  }

  void Execute() override {
    done_ = pages::ReadRuns(fd_, runs_, into_, [this] { return Cancelled(); });
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Float64Array array = Napi::Float64Array::New(env, done_.size());
    for (size_t i = 0; i < done_.size(); ++i) array[i] = static_cast<double>(done_[i]);
    return array;
  }

  uint8_t* into_ = nullptr;
  std::vector<int64_t> done_;
};

class ReadPiecesJob : public ReadRunsJob {
 public:
  explicit ReadPiecesJob(const Napi::CallbackInfo& info) : ReadRunsJob(info, Unchecked{}) {
    const Napi::Env env = info.Env();
    const Napi::Value value = info[2];
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
      ThrowType(env, "places must be a Float64Array");
    }
    const Napi::Float64Array numbers = value.As<Napi::Float64Array>();
    if (numbers.ElementLength() != runs_.size()) ThrowRange(env, "places must be one for each run");
    const uint64_t room = TakeInto(info, 3);
    places_.resize(runs_.size());
    for (size_t i = 0; i < places_.size(); ++i) {
      const double place = numbers[i];
      if (!(place >= 0 && place <= static_cast<double>(room)) || place != std::floor(place) ||
          runs_[i].length > room - static_cast<uint64_t>(place)) {
        ThrowRange(env, "a run leaves into");
      }
      places_[i] = static_cast<uint64_t>(place);
    }
  }

 protected:
  void Execute() override {
    done_ = pages::ReadPieces(fd_, runs_, places_, into_, [this] { return Cancelled(); });
  }

 private:
  std::vector<uint64_t> places_;
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
  Export(env, exports, "readPieces", RunJob<ReadPiecesJob>);
  Export(env, exports, "prefetchRuns", RunJob<PrefetchRunsJob>);
}

}  // namespace dk
