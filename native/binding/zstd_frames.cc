// compress, decompress: one zstd frame in, one out.
#include "binding/delta_job.h"
#include "binding/register.h"
#include "zstd/zstd_face.h"

namespace dk {
namespace {

class CompressJob : public Worker {
 public:
  explicit CompressJob(const Napi::CallbackInfo& info) : Worker(info.Env()), source_(TakeBytes(info[0], "data", this)) {
    if (info[1].IsUndefined()) return;
    const Napi::Object options = TakeObject(info[1], "options");
    level_ = static_cast<int>(TakeOptionalInteger(options.Get("level"), "level", 1, 19, 3));
    context_ = TakeOptionalBytes(options.Get("context"), "context", this);
    dictionary_ = TakeOptionalBytes(options.Get("dictionary"), "dictionary", this);
    long_distance_ = options.Get("longDistance").ToBoolean().Value();
    window_log_ = static_cast<int>(TakeOptionalInteger(options.Get("windowLog"), "windowLog", 10, 27, 0));
    if (context_.length > 0 && dictionary_.length > 0) {
      ThrowType(info.Env(), "context and dictionary exclude each other");
    }
  }

 protected:
  void Execute() override {
    zstd::Settings settings;
    settings.level = level_;
    settings.long_distance = long_distance_;
    settings.window_log = window_log_;
    settings.context = SpanOf(context_);
    settings.dictionary = SpanOf(dictionary_);
    settings.stop = [this] { return Cancelled(); };
    frame_ = Output(zstd::Bound(source_.length));
    size_t written = 0;
    if (!Accept(zstd::Compress(SpanOf(source_), settings, frame_.data(), frame_.length(), &written), "compress")) {
      return;
    }
    frame_.Shrink(written);
  }

  Napi::Value Resolve(Napi::Env env) override { return frame_.ToBuffer(env); }

 private:
  const Bytes source_;
  int level_ = 3;
  bool long_distance_ = false;
  int window_log_ = 0;
  Bytes context_;
  Bytes dictionary_;
  Output frame_;
};

class DecompressJob : public Worker {
 public:
  explicit DecompressJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), frame_(TakeBytes(info[0], "data", this)) {
    const Napi::Object options = TakeObject(info[1], "options");
    length_ = TakeInteger(options.Get("decodedBytes"), "decodedBytes", 0, kBufferBytesMax);
    context_ = TakeOptionalBytes(options.Get("context"), "context", this);
    dictionary_ = TakeOptionalBytes(options.Get("dictionary"), "dictionary", this);
    if (context_.length > 0 && dictionary_.length > 0) {
      ThrowType(info.Env(), "context and dictionary exclude each other");
    }
  }

 protected:
  void Execute() override {
    // A frame that admits to another length is refused before memory is taken for it.
    uint64_t declared = 0;
    if (zstd::ContentSize(SpanOf(frame_), &declared) && declared != length_) {
      Accept(Status::kCorrupt, "decompress");
      return;
    }
    data_ = Output(length_);
    Accept(zstd::Decompress(SpanOf(frame_), SpanOf(context_), SpanOf(dictionary_), data_.data(), length_),
           "decompress");
  }

  Napi::Value Resolve(Napi::Env env) override { return data_.ToBuffer(env); }

 private:
  const Bytes frame_;
  size_t length_ = 0;
  Bytes context_;
  Bytes dictionary_;
  Output data_;
};

}  // namespace

void RegisterZstd(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "compress", RunJob<CompressJob>);
  Export(env, exports, "decompress", RunJob<DecompressJob>);
}

}  // namespace dk
