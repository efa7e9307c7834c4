// trainDictionary: a dictionary from samples of one kind.
#include "binding/delta_job.h"
#include "binding/register.h"
#include "dictionary/dictionary.h"

namespace dk {
namespace {

class TrainJob : public Worker {
 public:
  explicit TrainJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        samples_(TakeBytes(info[0], "samples", this)),
        bytes_max_(TakeInteger(info[2], "bytesMax", 128, 1 << 20)) {
    const Bytes lengths = TakeWords(info[1], "lengths");
    lengths_.assign(lengths.words(), lengths.words() + lengths.length / sizeof(uint32_t));
    uint64_t total = 0;
    for (const uint32_t length : lengths_) total += length;
    if (total != samples_.length) ThrowRange(info.Env(), "lengths must add up to the samples");
  }

 protected:
  void Execute() override {
    dictionary_ = dictionary::Train(SpanOf(samples_), lengths_, bytes_max_, [this] { return Cancelled(); });
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, dictionary_.data(), dictionary_.size()); }

 private:
  const Bytes samples_;
  const uint64_t bytes_max_;
  std::vector<uint32_t> lengths_;
  std::vector<uint8_t> dictionary_;
};

}  // namespace

void RegisterDictionary(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "trainDictionary", RunJob<TrainJob>);
}

}  // namespace dk
