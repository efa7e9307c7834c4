// decodeBlobs: payloads back into bytes, each verified by its digest, items in parallel.
#include <cstring>

#include "binding/args.h"
#include "binding/blobs.h"
#include "binding/digest_by.h"
#include "binding/register.h"

namespace dk {
namespace {

// Bounds what one batch may ask for; batches of the store are some MiB.
constexpr uint64_t kDecodedBytesMax = uint64_t{1} << 31;

class DecodeJob : public DecodingJob {
 public:
  explicit DecodeJob(const Napi::CallbackInfo& info) : DecodingJob(info.Env()) {
    const Napi::Env env = info.Env();
    const Napi::Object batch = TakeObject(info[0], "batch");
    payloads_.Take(batch, "payloads", "payloadLengths", this);
    contexts_.Take(batch, "contexts", "contextLengths", this);
    codecs_ = TakeBytes(batch.Get("codecs"), "codecs", this);
    digests_ = TakeBytes(batch.Get("digests"), "digests", this);
    algo_ = TakeAlgo(batch.Get("algo"));
    const Bytes lengths = TakeWords(batch.Get("decodedLengths"), "decodedLengths");
    decoded_.assign(lengths.words(), lengths.words() + lengths.length / 4);
    const size_t count = payloads_.count();
    if (contexts_.count() != count || codecs_.length != count || decoded_.size() != count ||
        digests_.length != count * kDigestBytes) {
      ThrowRange(env, "the arrays of a batch must describe equally many items");
    }
    for (const uint32_t length : decoded_) {
      starts_.push_back(total_);
      total_ += length;
    }
    if (total_ > kDecodedBytesMax) {
      throw MakeError(env, "DK_LIMIT", "decodedLengths add up to more than 2 GiB");
    }
  }

 private:
  void Decode(size_t i) override {
    uint8_t* out = data_.data() + starts_[i];
    const Coded coded{codecs_.data[i], payloads_.At(i), contexts_.At(i), digests_.data + i * kDigestBytes};
    status_[i] = DecodeVerified(coded, algo_, out, decoded_[i]);
    if (status_[i] != kGood && decoded_[i] > 0) memset(out, 0, decoded_[i]);
  }

  Pieces payloads_;
  Pieces contexts_;
  std::vector<uint64_t> starts_;
};

}  // namespace

void RegisterBlobsDecode(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "decodeBlobs", RunJob<DecodeJob>);
}

}  // namespace dk
