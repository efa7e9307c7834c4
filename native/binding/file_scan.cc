// openFileScan: one large file against its page table, step by step.
#include <algorithm>
#include <memory>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/worker.h"
#include "pages/page_scan.h"

namespace dk {
namespace {

constexpr uint64_t kOffsetMax = (uint64_t{1} << 53) - 1;
constexpr uint64_t kDataBytesMax = uint64_t{1} << 30;
// A mapped file of this length is compared in a few milliseconds by all threads. That is no reason to leave the JS
// thread alone: whoever holds a file waits for it, and so does the application.
constexpr uint64_t kHoldHereBytes = 64 << 20;
// Of a file of this length that is held, tables are copied, or group values become its digest, in 100 us.
constexpr uint64_t kHeldHereBytes = 64 << 20;

// A scan between its calls. Jobs and the functions of the handle share it; one job at a time.
struct ScanState {
  ScanState(pages::DigestAlgo algo, const uint8_t* seed) : scan(algo, seed) {}

  void TakeTables(const Napi::Object& options) {
    source_bytes = TakeInteger(options.Get("sourceBytes"), "sourceBytes", 0, kOffsetMax);
    pages_bytes = TakeBytes(options.Get("pages"), "pages").length;
    groups_bytes = TakeBytes(options.Get("groups"), "groups").length;
    pages = Napi::Persistent(options.Get("pages").As<Napi::Object>());
    groups = Napi::Persistent(options.Get("groups").As<Napi::Object>());
  }

  pages::PageScan scan;
  bool busy = false;
  // The tables stay in JavaScript's memory: they are taken anew for every step,
  // since between two calls their owner may have given the memory away.
  Napi::ObjectReference pages;
  Napi::ObjectReference groups;
  size_t pages_bytes = 0;
  size_t groups_bytes = 0;
  uint64_t source_bytes = 0;
  // Memory that holds the file, once Hold has filled it; empty until then.
  Napi::ObjectReference held;
  size_t held_bytes = 0;
};
using State = std::shared_ptr<ScanState>;

// Marks the state as in use from the call to the end of the job.
class ScanJob : public Worker {
 public:
  ScanJob(Napi::Env env, State state) : Worker(env), state_(std::move(state)) {
    if (state_->busy) ThrowType(env, "a call of this file scan is still running");
    state_->busy = true;
  }
  ~ScanJob() override { state_->busy = false; }

 protected:
  // Holds the tables of the source version, and what was taken of the file, until the job ends.
  void TakeSource() {
    pages_ = Take(state_->pages, state_->pages_bytes, "pages");
    groups_ = Take(state_->groups, state_->groups_bytes, "groups");
    if (!state_->held.IsEmpty()) held_ = Take(state_->held, state_->held_bytes, "into");
  }

  pages::PageSource Source() const {
    pages::PageSource source;
    source.pages = pages_.data;
    source.pages_bytes = pages_.length;
    source.groups = groups_.data;
    source.groups_bytes = groups_.length;
    source.file_bytes = state_->source_bytes;
    source.held = held_.data;
    return source;
  }

  const State state_;

 private:
  Bytes Take(const Napi::ObjectReference& from, size_t length, const char* name) {
    const Bytes bytes = TakeBytes(from.Value(), name, this);
    if (bytes.length != length) {
      ThrowType(from.Env(), std::string(name) + " was detached while the file is scanned");
    }
    return bytes;
  }

  Bytes pages_;
  Bytes groups_;
  Bytes held_;
};

class StepJob : public ScanJob {
 public:
  StepJob(const Napi::CallbackInfo& info, const State& state)
      : ScanJob(info.Env(), state), data_bytes_max_(TakeInteger(info[0], "dataBytesMax", 1, kDataBytesMax)) {
    if (!state->scan.IsOpen()) ThrowType(info.Env(), "the file scan is closed");
    TakeSource();
  }

 protected:
  void Execute() override {
    const int status = state_->scan.Next(Source(), data_bytes_max_, &step_);
    if (status != 0) FailErrno(-status, "read the file");
  }

  bool IsQuick() const override {
    const pages::PageScan& scan = state_->scan;
    return scan.IsHeld() && scan.held_bytes() <= pages::kHeldAloneBytes &&
           static_cast<uint64_t>(scan.row()[pages::kSize]) <= kHeldHereBytes;
  }

  Napi::Value Resolve(Napi::Env env) override {
    const size_t count = step_.ranges.size();
    Napi::Float64Array ranges = Napi::Float64Array::New(env, count * 2);
    Napi::Uint8Array zero = Napi::Uint8Array::New(env, count);
    for (size_t i = 0; i < count; ++i) {
      ranges[i * 2] = static_cast<double>(step_.ranges[i].offset);
      ranges[i * 2 + 1] = static_cast<double>(step_.ranges[i].length);
      zero[i] = step_.ranges[i].zero ? 1 : 0;
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("ranges", ranges);
    object.Set("zero", zero);
    object.Set("data", MoveToBuffer(env, std::move(step_.data)));
    object.Set("done", Napi::Boolean::New(env, step_.done));
    return object;
  }

 private:
  const size_t data_bytes_max_;
  pages::PageStep step_;
};

// Takes the file as it is, or prepares that; resolves to whether it did.
class TakeJob : public ScanJob {
 public:
  TakeJob(const Napi::CallbackInfo& info, const State& state) : ScanJob(info.Env(), state) {
    if (!state->scan.IsOpen()) ThrowType(info.Env(), "the file scan is closed");
  }

 protected:
  // 1, 0 or a negative errno.
  virtual int TakeFile() = 0;

  void Execute() override {
    const int status = TakeFile();
    if (status < 0) FailErrno(-status, "take the file");
    taken_ = status == 1;
  }

  Napi::Value Resolve(Napi::Env env) override { return Napi::Boolean::New(env, taken_); }

  bool taken_ = false;
};

class HoldJob : public TakeJob {
 public:
  HoldJob(const Napi::CallbackInfo& info, const State& state) : TakeJob(info, state) {
    const Bytes into = TakeBytes(info[0], "into", this);
    if (into.copy) ThrowType(info.Env(), "into must not be shared or resizable memory");
    into_ = const_cast<uint8_t*>(into.data);
    bytes_ = into.length;
    memory_ = Napi::Persistent(info[0].As<Napi::Object>());
    TakeSource();
  }

 protected:
  int TakeFile() override { return state_->scan.Hold(Source(), into_, bytes_); }

  bool IsQuick() const override { return state_->scan.IsMapped(kHoldHereBytes); }

  Napi::Value Resolve(Napi::Env env) override {
    if (!taken_) return env.Undefined();
    state_->held = std::move(memory_);
    state_->held_bytes = bytes_;
    Napi::Object object = Napi::Object::New(env);
    object.Set("row", RowsToArray(env, &state_->scan.row(), 1));
    object.Set("heldBytes", Napi::Number::New(env, static_cast<double>(state_->scan.held_bytes())));
    return object;
  }

 private:
  uint8_t* into_ = nullptr;
  size_t bytes_ = 0;
  Napi::ObjectReference memory_;
};

// Resolves to whether the file is mapped.
class MapJob : public TakeJob {
 public:
  using TakeJob::TakeJob;

 protected:
  int TakeFile() override { return state_->scan.Map() ? 1 : 0; }

  // What is mapped stays so.
  bool IsQuick() const override { return state_->scan.IsMapped(kOffsetMax); }
};

class CloneJob : public TakeJob {
 public:
  CloneJob(const Napi::CallbackInfo& info, const State& state)
      : TakeJob(info, state), directory_(TakeString(info[0], "directory")) {}

 protected:
  int TakeFile() override { return state_->scan.Clone(directory_); }

 private:
  const std::string directory_;
};

// Resolves to the row of now, or to undefined when the scan cannot begin anew.
class RenewJob : public ScanJob {
 public:
  RenewJob(const Napi::CallbackInfo& info, const State& state) : ScanJob(info.Env(), state) {
    if (!state->scan.IsOpen()) ThrowType(info.Env(), "the file scan is closed");
    state->TakeTables(TakeObject(info[0], "tables"));
    state->held.Reset();
  }

 protected:
  void Execute() override { status_ = state_->scan.Renew(); }

  bool IsQuick() const override { return true; }

  Napi::Value Resolve(Napi::Env env) override {
    return status_ == 0 ? RowsToArray(env, &state_->scan.row(), 1) : env.Undefined();
  }

 private:
  int status_ = 0;
};

class FinishJob : public ScanJob {
 public:
  FinishJob(const Napi::CallbackInfo& info, const State& state) : ScanJob(info.Env(), state) {
    if (!state->scan.IsOpen()) ThrowType(info.Env(), "the file scan is closed");
  }

 protected:
  void Execute() override {
    const int status = state_->scan.Finish(&outcome_);
    if (status != 0) FailErrno(-status, "finish the scan");
  }

  bool IsQuick() const override {
    const pages::PageScan& scan = state_->scan;
    return scan.IsHeld() && static_cast<uint64_t>(scan.row()[pages::kSize]) <= kHeldHereBytes;
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object object = Napi::Object::New(env);
    object.Set("row", RowsToArray(env, &outcome_.row, 1));
    object.Set("torn", Napi::Boolean::New(env, outcome_.torn));
    object.Set("pages", MoveToBuffer(env, std::move(state_->scan.pages())));
    object.Set("groups", MoveToBuffer(env, std::move(state_->scan.groups())));
    object.Set("digest", CopyToBuffer(env, outcome_.digest, sizeof outcome_.digest));
    object.Set("xattrs", MoveToBuffer(env, std::move(outcome_.xattrs)));
    state_->pages.Reset();
    state_->groups.Reset();
    state_->held.Reset();
    return object;
  }

 private:
  pages::PageOutcome outcome_;
};

class CloseJob : public ScanJob {
 public:
  CloseJob(const Napi::CallbackInfo& info, const State& state) : ScanJob(info.Env(), state) {
    state->pages.Reset();
    state->groups.Reset();
    state->held.Reset();
  }

 protected:
  void Execute() override { state_->scan.Close(); }
  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }
};

template <typename Job>
Napi::Value Start(const Napi::CallbackInfo& info, const State& state) {
  auto job = std::make_unique<Job>(info, state);
  return job.release()->Queue();
}

class OpenJob : public Worker {
 public:
  explicit OpenJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Object options = TakeObject(info[0], "options");
    root_ = TakeString(options.Get("root"), "root");
    path_ = TakePath(options.Get("path"), "path");
    const Bytes seed = TakeBytes(options.Get("seed"), "seed");
    if (seed.length != pages::kSeedBytes) ThrowRange(info.Env(), "seed must be 16 bytes");
    state_ = std::make_shared<ScanState>(TakeDigestAlgo(options.Get("algo")), seed.data);
    state_->TakeTables(options);
  }

 protected:
  void Execute() override {
    const int status = state_->scan.Open(root_, path_);
    if (status != 0) FailErrno(-status, "open '" + path_ + "' for scanning");
  }

  Napi::Value Resolve(Napi::Env env) override {
    using Info = const Napi::CallbackInfo&;
    const State state = state_;
    Napi::Object handle = Napi::Object::New(env);
    handle.Set("row", RowsToArray(env, &state->scan.row(), 1));
    Export(env, handle, "map", [state](Info info) { return Start<MapJob>(info, state); });
    Export(env, handle, "hold", [state](Info info) { return Start<HoldJob>(info, state); });
    Export(env, handle, "renew", [state](Info info) { return Start<RenewJob>(info, state); });
    Export(env, handle, "clone", [state](Info info) { return Start<CloneJob>(info, state); });
    Export(env, handle, "next", [state](Info info) { return Start<StepJob>(info, state); });
    Export(env, handle, "finish", [state](Info info) { return Start<FinishJob>(info, state); });
    Export(env, handle, "close", [state](Info info) { return Start<CloseJob>(info, state); });
    return handle;
  }

 private:
  std::string root_;
  std::string path_;
  State state_;
};

}  // namespace

void RegisterFileScan(Napi::Env env, Napi::Object exports) { Export(env, exports, "openFileScan", RunJob<OpenJob>); }

}  // namespace dk
