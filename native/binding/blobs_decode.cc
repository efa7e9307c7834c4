// decodeBlobs: payloads back into bytes, each verified by its digest, items in parallel.
#include <cstring>
#include <new>

#include "binding/args.h"
#include "binding/blobs.h"
#include "binding/digest_by.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "common/thread_pool.h"
#include "xor/xor.h"
#include "zstd/zstd_face.h"

namespace dk {
namespace {

// Bounds what one batch may ask for; batches of the store are some MiB.
constexpr uint64_t kDecodedBytesMax = uint64_t{1} << 31;

// Values of `status` in src/engine/engine.ts.
constexpr uint8_t kGood = 0;
constexpr uint8_t kUndecodable = 1;
constexpr uint8_t kOtherBytes = 2;

Status DecodeOne(uint8_t codec, zstd::Span payload, zstd::Span context, uint8_t* out, size_t length) {
  switch (static_cast<Codec>(codec)) {
    case Codec::kRaw:
      if (payload.length != length) return Status::kCorrupt;
      if (length > 0) memcpy(out, payload.data, length);
      return Status::kOk;
    case Codec::kZstd:
      return zstd::Decompress(payload, {}, {}, out, length);
    case Codec::kZstdContext:
      return zstd::Decompress(payload, context, {}, out, length);
    case Codec::kXor:
      return xordelta::Patch(context, payload, out, length);
    default:
      return Status::kCorrupt;
  }
}

class DecodeJob : public Worker {
 public:
  explicit DecodeJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Env env = info.Env();
    const Napi::Object batch = TakeObject(info[0], "batch");
    payloads_.Take(batch, "payloads", "payloadLengths", this);
    contexts_.Take(batch, "contexts", "contextLengths", this);
    codecs_ = TakeBytes(batch.Get("codecs"), "codecs", this);
    digests_ = TakeBytes(batch.Get("digests"), "digests", this);
    algo_ = TakeAlgo(batch.Get("algo"));
    const Bytes lengths = TakeWords(batch.Get("decodedLengths"), "decodedLengths");
    lengths_.assign(lengths.words(), lengths.words() + lengths.length / 4);
    const size_t count = payloads_.count();
    if (contexts_.count() != count || codecs_.length != count || lengths_.size() != count ||
        digests_.length != count * kDigestBytes) {
      ThrowRange(env, "the arrays of a batch must describe equally many items");
    }
    for (const uint32_t length : lengths_) {
      starts_.push_back(total_);
      total_ += length;
    }
    if (total_ > kDecodedBytesMax) {
      throw MakeError(env, "DK_LIMIT", "decodedLengths add up to more than 2 GiB");
    }
  }

 protected:
  void Execute() override {
    data_ = Output(total_);
    status_.resize(lengths_.size());
    ParallelFor(lengths_.size(), [this](size_t i) {
      if (!Cancelled()) Decode(i);
    });
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("data", data_.ToBuffer(env));
    result.Set("status", CopyToUint8Array(env, status_));
    return result;
  }

 private:
  void Decode(size_t i) {
    uint8_t* out = data_.data() + starts_[i];
    const Status status = DecodeOne(codecs_.data[i], payloads_.At(i), contexts_.At(i), out, lengths_[i]);
    // A machine out of memory says nothing about the bytes: that fails the call, not the item.
    if (status == Status::kMemory) throw std::bad_alloc();
    if (status != Status::kOk) {
      status_[i] = kUndecodable;
    } else {
      uint8_t digest[kDigestBytes];
      DigestBy(algo_, out, lengths_[i], digest);
      const bool equal = memcmp(digest, digests_.data + i * kDigestBytes, kDigestBytes) == 0;
      status_[i] = equal ? kGood : kOtherBytes;
    }
    if (status_[i] != kGood && lengths_[i] > 0) memset(out, 0, lengths_[i]);
  }

  Pieces payloads_;
  Pieces contexts_;
  Bytes codecs_;
  Bytes digests_;
  Algo algo_ = Algo::kBlake3;
  std::vector<uint32_t> lengths_;
  std::vector<uint64_t> starts_;
  uint64_t total_ = 0;
  Output data_;
  std::vector<uint8_t> status_;
};

}  // namespace

void RegisterBlobsDecode(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "decodeBlobs", RunJob<DecodeJob>);
}

}  // namespace dk
