// readChain: a short blob out of a pack, with the chain of deltas that it is made of, in one crossing.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "binding/args.h"
#include "binding/blobs.h"
#include "binding/digest_by.h"
#include "binding/register.h"
#include "chain/record_chain.h"
#include "pages/run_read.h"

namespace dk {
namespace {

constexpr uint64_t kEndMax = uint64_t{1} << 52;
constexpr uint64_t kWindowBytesMax = 1u << 20;

static_assert(chain::kDigestBytes == kDigestBytes, "digests are of one length");

class ChainJob : public Worker {
 public:
  explicit ChainJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    fd_ = static_cast<int>(TakeInteger(info[0], "fd", 0, 0x7fffffff));
    const Napi::Object place = TakeObject(info[1], "place");
    offset_ = TakeInteger(place.Get("offset"), "offset", 0, kEndMax);
    record_ = TakeInteger(place.Get("recordBytes"), "recordBytes", 1, kWindowBytesMax);
    window_ = TakeInteger(place.Get("windowBytes"), "windowBytes", record_, kWindowBytesMax);
    decoded_ = TakeInteger(place.Get("decodedBytes"), "decodedBytes", 0, chain::kLinkBytesMax);
    const Bytes digest = TakeBytes(place.Get("digest"), "digest");
    if (digest.length != kDigestBytes) ThrowRange(info.Env(), "digest must have 32 bytes");
    memcpy(digest_, digest.data, kDigestBytes);
    algo_ = TakeAlgo(info[2]);
  }

 protected:
  void Execute() override {
    const uint64_t end = offset_ + record_;
    const pages::Run run{end - std::min(end, window_), std::min(end, window_)};
    const size_t length = static_cast<size_t>(run.length);
    const std::unique_ptr<uint8_t[]> bytes(new uint8_t[length]);
    if (pages::ReadRun(fd_, run, bytes.get()) != static_cast<int64_t>(length)) return;
    std::vector<chain::Link> links;
    if (!chain::FindChain({bytes.get(), length}, static_cast<size_t>(record_), digest_, &links)) return;
    if (links.front().decoded == decoded_) good_ = Decode(links);
  }

  // Null when it has to be had otherwise.
  Napi::Value Resolve(Napi::Env env) override { return good_ ? out_.ToBuffer(env) : env.Null(); }

 private:
  // What needs nothing first. Of links between only what is made of them counts.
  bool Decode(const std::vector<chain::Link>& links) {
    std::vector<uint8_t> context;
    std::vector<uint8_t> decoded;
    for (size_t i = links.size() - 1; i > 0; --i) {
      decoded.resize(links[i].decoded);
      const Coded coded{links[i].codec, links[i].payload, {context.data(), context.size()}, nullptr};
      if (Cancelled() || DecodeUnverified(coded, decoded.data(), decoded.size()) != kGood) return false;
      context.swap(decoded);
    }
    out_ = Output(static_cast<size_t>(decoded_));
    const Coded coded{links[0].codec, links[0].payload, {context.data(), context.size()}, digest_};
    return DecodeVerified(coded, algo_, out_.data(), out_.length()) == kGood;
  }

  int fd_ = -1;
  uint64_t offset_ = 0;
  uint64_t record_ = 0;
  uint64_t window_ = 0;
  uint64_t decoded_ = 0;
  uint8_t digest_[kDigestBytes];
  Algo algo_ = Algo::kBlake3;
  bool good_ = false;
  Output out_;
};

}  // namespace

void RegisterChainRead(Napi::Env env, Napi::Object exports) { Export(env, exports, "readChain", RunJob<ChainJob>); }

}  // namespace dk
