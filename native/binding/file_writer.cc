// openFileWriter, alignedBuffer: one large file, written and hashed step by step.
#include <sys/mman.h>

#include <memory>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "common/huge_pages.h"
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
  // What goes through the page cache is copied, which is work.
  bool WaitsForDisk() const override { return direct_; }
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

// Memory that begins at a unit of direct writes, and at a huge page where it is long enough for some.
class AlignedMemory {
 public:
  // Zeroed, for it may come from anywhere; what is not used is never touched. Null when there is none.
  static std::unique_ptr<AlignedMemory> Make(size_t length) {
    const size_t unit = length >= kHugeFrom ? kHugePageBytes : place::kDirectUnit;
    // The system's pages may be smaller than a unit.
    const size_t mapped = length + unit;
    void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    const uintptr_t begin = (reinterpret_cast<uintptr_t>(base) + unit - 1) / unit * unit;
    AdviseHuge(reinterpret_cast<void*>(begin), length);
    return std::unique_ptr<AlignedMemory>(new AlignedMemory(base, mapped, reinterpret_cast<uint8_t*>(begin)));
  }
  ~AlignedMemory() { munmap(base_, mapped_); }
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;

  uint8_t* data() const { return data_; }

 private:
  AlignedMemory(void* base, size_t mapped, uint8_t* data) : base_(base), mapped_(mapped), data_(data) {}

  void* const base_;
  const size_t mapped_;
  uint8_t* const data_;
};

// Memory that may be written past the page cache as it is.
Napi::Value AlignedBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const size_t length = static_cast<size_t>(TakeInteger(info[0], "bytes", 1, kAlignedBytesMax));
  std::unique_ptr<AlignedMemory> memory = AlignedMemory::Make(length);
  if (!memory) throw MakeError(env, "DK_LIMIT", "no memory for a buffer of " + std::to_string(length) + " bytes");
  const int64_t counted = static_cast<int64_t>(length);
  Napi::MemoryManagement::AdjustExternalMemory(env, counted);
  uint8_t* const data = memory->data();
  return Napi::Buffer<uint8_t>::NewOrCopy(
      env, data, length,
      [counted](Napi::Env finalizer_env, uint8_t*, AlignedMemory* held) {
        delete held;
        Napi::MemoryManagement::AdjustExternalMemory(finalizer_env, -counted);
      },
      memory.release());
}

}  // namespace

void RegisterFileWriter(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "openFileWriter", OpenFileWriter);
  Export(env, exports, "alignedBuffer", AlignedBuffer);
}

}  // namespace dk
