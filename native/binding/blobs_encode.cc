// encodeBlobs: the smallest payload for each item, items in parallel.
#include <algorithm>
#include <cstring>

#include "binding/args.h"
#include "binding/blobs.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "common/thread_pool.h"
#include "xor/xor.h"
#include "zstd/entropy.h"
#include "zstd/zstd_face.h"

namespace dk {
namespace {

// TRY bits of src/engine/engine.ts.
constexpr uint8_t kTryZstd = 1;
constexpr uint8_t kTryZstdContext = 2;
constexpr uint8_t kTryXor = 4;

// Recipes and the like, at the levels in use: less than the way to the pool and back.
constexpr size_t kQuickBytes = 8 << 10;
constexpr size_t kQuickItems = 4;
constexpr int kQuickLevel = 9;

// A result of the xor engine this small leaves nothing to gain by searching the context.
constexpr size_t kXorGoodEnough = 32;

struct Payload {
  Codec codec = Codec::kRaw;
  std::vector<uint8_t> bytes;  // Unused for raw: the target itself is the payload.
};

// The best so far of one item. Ties go to what decodes faster, which is the order of DecodeRank.
class Best {
 public:
  explicit Best(size_t raw_length) : length_(raw_length) {}

  void Offer(Codec codec, std::vector<uint8_t>&& bytes) {
    if (bytes.size() > length_) return;
    if (bytes.size() == length_ && DecodeRank(codec) >= DecodeRank(payload_.codec)) return;
    length_ = bytes.size();
    payload_.codec = codec;
    payload_.bytes = std::move(bytes);
  }

  size_t length() const { return length_; }
  Payload Take() { return std::move(payload_); }

 private:
  static int DecodeRank(Codec codec) {
    switch (codec) {
      case Codec::kRaw:
        return 0;
      case Codec::kZstd:
        return 1;
      case Codec::kXor:
        return 2;
      default:
        return 3;
    }
  }

  size_t length_;
  Payload payload_;
};

void OfferZstd(zstd::Span target, zstd::Span context, int level, Best* best) {
  // Never the full bound: what does not beat the best so far need not be finished.
  static thread_local std::vector<uint8_t> scratch;
  scratch.resize(std::min(best->length(), zstd::Bound(target.length)));
  zstd::Settings settings;
  settings.level = level;
  settings.context = context;
  size_t written = 0;
  if (zstd::Compress(target, settings, scratch.data(), scratch.size(), &written) != Status::kOk) {
    return;
  }
  best->Offer(context.length > 0 ? Codec::kZstdContext : Codec::kZstd,
              std::vector<uint8_t>(scratch.begin(), scratch.begin() + static_cast<long>(written)));
}

Payload EncodeOne(zstd::Span target, zstd::Span context, uint8_t tries, int level) {
  Best best(target.length);
  if (target.length == 0) return best.Take();
  const bool noise = LooksIncompressible(target.data, target.length);
  if (context.length > 0 && (tries & kTryXor) != 0) {
    std::vector<uint8_t> payload;
    const bool hopeless = noise && !xordelta::SharesOffsets(context, target);
    if (!hopeless && xordelta::Diff(context, target, level, &payload) == Status::kOk) {
      payload.shrink_to_fit();
      best.Offer(Codec::kXor, std::move(payload));
    }
  }
  const bool searching = best.length() > kXorGoodEnough + target.length / 1024;
  if (context.length > 0 && (tries & kTryZstdContext) != 0 && searching && !zstd::LooksLikeDictionary(context) &&
      (!noise || SharesContent(target.data, target.length, context.data, context.length))) {
    OfferZstd(target, context, level, &best);
  }
  // A context that explains nearly all is not beaten without it.
  const bool explained = best.length() <= target.length / 16;
  if ((tries & kTryZstd) != 0 && !noise && !explained) OfferZstd(target, {}, level, &best);
  return best.Take();
}

class EncodeJob : public Worker {
 public:
  explicit EncodeJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Object batch = TakeObject(info[0], "batch");
    targets_.Take(batch, "targets", "targetLengths", this);
    contexts_.Take(batch, "contexts", "contextLengths", this);
    tries_ = TakeBytes(batch.Get("tries"), "tries", this);
    level_ = static_cast<int>(TakeInteger(batch.Get("level"), "level", 1, 19));
    if (contexts_.count() != targets_.count() || tries_.length != targets_.count()) {
      ThrowRange(info.Env(), "targetLengths, contextLengths and tries must be equally long");
    }
  }

 protected:
  void Execute() override {
    std::vector<Payload> payloads(targets_.count());
    ParallelFor(payloads.size(), [&](size_t i) {
      if (Cancelled()) return;
      payloads[i] = EncodeOne(targets_.At(i), contexts_.At(i), tries_.data[i], level_);
    });
    if (!Cancelled()) Gather(payloads);
  }

  bool IsQuick() const override {
    return targets_.bytes() + contexts_.bytes() <= kQuickBytes && targets_.count() <= kQuickItems &&
           level_ <= kQuickLevel;
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("codecs", CopyToUint8Array(env, codecs_));
    result.Set("payloadLengths", CopyToUint32Array(env, lengths_));
    result.Set("payloads", out_.ToBuffer(env));
    return result;
  }

 private:
  void Gather(const std::vector<Payload>& payloads) {
    size_t total = 0;
    for (size_t i = 0; i < payloads.size(); ++i) {
      const bool raw = payloads[i].codec == Codec::kRaw;
      const size_t length = raw ? targets_.At(i).length : payloads[i].bytes.size();
      codecs_.push_back(static_cast<uint8_t>(payloads[i].codec));
      lengths_.push_back(static_cast<uint32_t>(length));
      total += length;
    }
    out_ = Output(total);
    std::vector<size_t> starts(payloads.size());
    for (size_t i = 1; i < starts.size(); ++i) starts[i] = starts[i - 1] + lengths_[i - 1];
    ParallelFor(payloads.size(), [&](size_t i) {
      const bool raw = payloads[i].codec == Codec::kRaw;
      const uint8_t* from = raw ? targets_.At(i).data : payloads[i].bytes.data();
      if (lengths_[i] > 0) memcpy(out_.data() + starts[i], from, lengths_[i]);
    });
  }

  Pieces targets_;
  Pieces contexts_;
  Bytes tries_;
  int level_ = 3;
  std::vector<uint8_t> codecs_;
  std::vector<uint32_t> lengths_;
  Output out_;
};

}  // namespace

void RegisterBlobs(Napi::Env env, Napi::Object exports) { Export(env, exports, "encodeBlobs", RunJob<EncodeJob>); }

}  // namespace dk
