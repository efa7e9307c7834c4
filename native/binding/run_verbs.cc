// readRuns, prefetchRuns, readSlices, prefetchSlices: many pieces of files in one crossing.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "pages/run_read.h"

namespace dk {
namespace {

constexpr double kOffsetMax = 9007199254740991.0;  // 2^53 - 1
constexpr uint64_t kRunsBytesMax = uint64_t{1} << 31;
constexpr size_t kRunsMax = 1 << 20;
constexpr uint64_t kBeginMax = uint64_t{1} << 52;
// NO_FILE of src/engine/run-verbs.ts.
constexpr uint32_t kNoFile = 0xffffffff;

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
  explicit ReadRunsJob(const Napi::CallbackInfo& info) : RunsJob(info), direct_(info[3].ToBoolean()) {
    into_ = TakeRoom(info[2], total_, this);
  }

 protected:
  bool WaitsForDisk() const override { return direct_; }
  void Execute() override {
    done_ = pages::ReadRuns(fd_, runs_, into_, direct_, [this] { return Cancelled(); });
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Float64Array array = Napi::Float64Array::New(env, done_.size());
    for (size_t i = 0; i < done_.size(); ++i) array[i] = static_cast<double>(done_[i]);
    return array;
  }

  const bool direct_;
  uint8_t* into_ = nullptr;
  std::vector<int64_t> done_;
};

using Words = Napi::Uint32Array;
using Doubles = Napi::Float64Array;

Words TakeNumbers(const Napi::Object& from, const char* name, int64_t count) {
  return TakeColumn<Words>(from.Get(name), name, napi_uint32_array, count);
}

Doubles TakeDoubles(const Napi::Object& from, const char* name, int64_t count) {
  return TakeColumn<Doubles>(from.Get(name), name, napi_float64_array, count);
}

// Slices of blobs that stand in files; what they are is said in src/engine/run-verbs.ts.
class SlicesOfFilesJob : public Worker {
 public:
  explicit SlicesOfFilesJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    fds_ = TakeDescriptors(info[0]);
    TakeSlices(TakeObject(info[1], "slices"), TakeObject(info[2], "range"));
  }

 protected:
  std::vector<int> fds_;
  std::vector<pages::Piece> pieces_;
  // Numbers of the slices that the pieces are.
  std::vector<uint32_t> numbers_;
  // Pairs of place and length.
  std::vector<pages::Run> zeros_;
  uint64_t length_ = 0;

 private:
  struct Columns {
    const uint32_t* files;
    const double* begins;
    const uint32_t* bytes;
    size_t blob_count;
    const uint32_t* blobs;
    const uint32_t* offsets;
    const double* starts;
  };

  // Copied: what was checked is what is used.
  void TakeSlices(const Napi::Object& slices, const Napi::Object& range) {
    const Napi::Env env = slices.Env();
    const Words files = TakeNumbers(slices, "files", -1);
    const auto blob_count = static_cast<int64_t>(files.ElementLength());
    const Doubles begins = TakeDoubles(slices, "begins", blob_count);
    const Words bytes = TakeNumbers(slices, "bytes", blob_count);
    const Words blobs = TakeNumbers(slices, "blobs", -1);
    const auto count = static_cast<int64_t>(blobs.ElementLength());
    const Words offsets = TakeNumbers(slices, "offsets", count);
    const Doubles starts = TakeDoubles(slices, "starts", count + 1);
    const uint64_t first = TakeInteger(range.Get("first"), "first", 0, static_cast<uint64_t>(count));
    const double last = range.Get("last").ToNumber().DoubleValue();
    const auto offset = static_cast<double>(TakeInteger(range.Get("offset"), "offset", 0, kBeginMax));
    length_ = TakeInteger(range.Get("length"), "length", 0, kRunsBytesMax);
    if (!(last >= static_cast<double>(first) - 1 && last < static_cast<double>(count))) ThrowRange(env, "last");
    const Columns columns{files.Data(), begins.Data(),  bytes.Data(), files.ElementLength(),
                          blobs.Data(), offsets.Data(), starts.Data()};
    const auto end = static_cast<uint64_t>(last + 1);
    if (end - first > kRunsMax) ThrowRange(env, "too many slices");
    for (uint64_t i = first; i < end; ++i) TakeSlice(env, columns, i, offset);
  }

  void TakeSlice(Napi::Env env, const Columns& columns, uint64_t i, double offset) {
    // Each value is read once: the memory may be another thread's, too.
    const double start = columns.starts[i];
    const double at = std::max(start, offset);
    const double length = std::min(columns.starts[i + 1], offset + static_cast<double>(length_)) - at;
    const double limit = static_cast<double>(length_);
    if (!(start >= 0 && length > 0 && length <= limit && at - offset <= limit - length) || at != std::floor(at) ||
        length != std::floor(length)) {
      ThrowRange(env, "a slice is empty or not in the range");
    }
    const uint32_t blob = columns.blobs[i];
    if (blob >= columns.blob_count) ThrowRange(env, "a slice is of no blob");
    const auto place = static_cast<uint64_t>(at - offset);
    const auto bytes = static_cast<uint64_t>(length);
    if (blob == 0) {
      zeros_.push_back({place, bytes});
      return;
    }
    const uint32_t file = columns.files[blob];
    if (file == kNoFile) return;
    if (file >= fds_.size()) ThrowRange(env, "a blob is in no file");
    const double begin = columns.begins[blob];
    if (!(begin >= 0 && begin <= static_cast<double>(kBeginMax)) || begin != std::floor(begin)) {
      ThrowRange(env, "a blob begins nowhere");
    }
    const double inside = columns.offsets[i] + (at - start);
    if (!(inside + length <= columns.bytes[blob])) ThrowRange(env, "a slice leaves its blob");
    if (fds_[file] < 0) return;
    pieces_.push_back({file, {static_cast<uint64_t>(begin + inside), bytes}, place});
    numbers_.push_back(static_cast<uint32_t>(i));
  }
};

class ReadSlicesJob : public SlicesOfFilesJob {
 public:
  explicit ReadSlicesJob(const Napi::CallbackInfo& info) : SlicesOfFilesJob(info) {
    into_ = TakeRoom(info[3], length_, this);
  }

 private:
  void Execute() override {
    for (const pages::Run& run : zeros_) std::memset(into_ + run.offset, 0, static_cast<size_t>(run.length));
    failed_ = pages::ReadPieces(fds_, pieces_, into_, [this] { return Cancelled(); });
    for (uint32_t& piece : failed_) piece = numbers_[piece];
  }
  Napi::Value Resolve(Napi::Env env) override { return CopyToUint32Array(env, failed_); }

  uint8_t* into_ = nullptr;
  std::vector<uint32_t> failed_;
};

class PrefetchSlicesJob : public SlicesOfFilesJob {
 public:
  using SlicesOfFilesJob::SlicesOfFilesJob;

 private:
  void Execute() override { pages::AdvisePieces(fds_, pieces_); }
  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }
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
  Export(env, exports, "readSlices", RunJob<ReadSlicesJob>);
  Export(env, exports, "prefetchSlices", RunJob<PrefetchSlicesJob>);
  Export(env, exports, "prefetchRuns", RunJob<PrefetchRunsJob>);
}

}  // namespace dk
