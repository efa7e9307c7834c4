// openFileWriter, alignedBuffer: one large file, written and hashed step by step.
#include <cstdlib>
#include <memory>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "common/thread_pool.h"
#include "place/file_write.h"

namespace dk {
namespace {

constexpr uint64_t kOffsetMax = (uint64_t{1} << 53) - 1;
constexpr uint64_t kAlignedBytesMax = uint64_t{1} << 30;

// A writer between its calls. Jobs and the functions of the handle share it; one job at a time.
struct WriterState {
  WriterState(int descriptor, pages::DigestAlgo algo) : fd(descriptor), content(algo) {}

  const int fd;
  place::RunningContent content;
  bool busy = false;
  bool finished = false;
};
using State = std::shared_ptr<WriterState>;

class WriterJob : public Worker {
 public:
  WriterJob(Napi::Env env, State state) : Worker(env), state_(std::move(state)) {
    if (state_->busy || state_->finished) ThrowType(env, "this file writer is busy or finished");
    state_->busy = true;
  }
  ~WriterJob() override { state_->busy = false; }

 protected:
  const State state_;
};

class WriteJob : public WriterJob {
 public:
  WriteJob(const Napi::CallbackInfo& info, const State& state)
      : WriterJob(info.Env(), state), position_(TakeInteger(info[0], "position", 0, kOffsetMax)) {
    bytes_ = TakeBytes(info[1], "bytes", this);
    direct_ = info[2].ToBoolean();
    if (position_ < state->content.end()) ThrowRange(info.Env(), "position lies before what was written");
  }

 protected:
  void Execute() override {
    int status = 0;
    ParallelFor(2, [this, &status](size_t half) {
      if (half == 0) {
        const PoolWait wait;
        status = place::WriteAt(state_->fd, bytes_.data, bytes_.length, position_, &direct_);
      } else {
        state_->content.Add(position_, bytes_.data, bytes_.length);
      }
    });
    if (status != 0) FailErrno(-status, "write the file");
  }

  Napi::Value Resolve(Napi::Env env) override { return Napi::Boolean::New(env, direct_); }

 private:
  const uint64_t position_;
  Bytes bytes_;
  bool direct_ = false;
};

class FinishWriterJob : public WriterJob {
 public:
  FinishWriterJob(const Napi::CallbackInfo& info, const State& state)
      : WriterJob(info.Env(), state), size_(TakeInteger(info[0], "size", 0, kOffsetMax)) {
    if (size_ < state->content.end()) ThrowRange(info.Env(), "size is less than what was written");
    state->finished = true;
  }

 protected:
  void Execute() override { state_->content.Finish(size_, digest_); }
  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, digest_, sizeof digest_); }

 private:
  const uint64_t size_;
  uint8_t digest_[pages::kDigestBytes] = {};
};

template <typename Job>
Napi::Value Start(const Napi::CallbackInfo& info, const State& state) {
  auto job = std::make_unique<Job>(info, state);
  return job.release()->Queue();
}

// The caller keeps the descriptor open until the last promise has settled, and closes it.
Napi::Value OpenFileWriter(const Napi::CallbackInfo& info) {
  using Info = const Napi::CallbackInfo&;
  const Napi::Env env = info.Env();
  const int fd = static_cast<int>(TakeInteger(info[0], "fd", 0, 0x7fffffff));
  const State state = std::make_shared<WriterState>(fd, TakeDigestAlgo(info[1]));
  Napi::Object handle = Napi::Object::New(env);
  Export(env, handle, "write", [state](Info call) { return Start<WriteJob>(call, state); });
  Export(env, handle, "finish", [state](Info call) { return Start<FinishWriterJob>(call, state); });
  return handle;
}

// Memory that may be written past the page cache as it is. Zeroed: it may come from anywhere.
Napi::Value AlignedBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const size_t length = static_cast<size_t>(TakeInteger(info[0], "bytes", 1, kAlignedBytesMax));
  const size_t rounded = (length + place::kDirectUnit - 1) / place::kDirectUnit * place::kDirectUnit;
  void* memory = nullptr;
  if (posix_memalign(&memory, place::kDirectUnit, rounded) != 0) {
    throw MakeError(env, "DK_LIMIT", "no memory for a buffer of " + std::to_string(length) + " bytes");
  }
  std::memset(memory, 0, rounded);
  const int64_t counted = static_cast<int64_t>(rounded);
  Napi::MemoryManagement::AdjustExternalMemory(env, counted);
  return Napi::Buffer<uint8_t>::NewOrCopy(env, static_cast<uint8_t*>(memory), length,
                                          [counted](Napi::Env finalizer_env, uint8_t* data) {
                                            free(data);
                                            Napi::MemoryManagement::AdjustExternalMemory(finalizer_env, -counted);
                                          });
}

}  // namespace

void RegisterFileWriter(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "openFileWriter", OpenFileWriter);
  Export(env, exports, "alignedBuffer", AlignedBuffer);
}

}  // namespace dk
