// createSourceIndex: the sparse index of a long source; createDigest: a digest that is fed piece by piece.
#include <memory>
#include <optional>

#include "binding/args.h"
#include "binding/delta_job.h"
#include "binding/digest_by.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "window/source_index.h"

namespace dk {
namespace {

constexpr uint64_t kOffsetMax = uint64_t{1} << 44;

struct IndexState {
  explicit IndexState(uint64_t source_length) : index(source_length) {}
  window::SourceIndex index;
  // JS thread only: additions change what searches read.
  bool adding = false;
  size_t searches = 0;
};

struct DigestState {
  Algo algo;
  bool busy = false;
  blake3::Hasher blake3;
  std::optional<sha256::Hasher> sha256;
};

[[noreturn]] void ThrowBusy(Napi::Env env) { throw MakeError(env, "DK_ARGUMENT", "a call before has not ended", 'R'); }

class AddJob : public Worker {
 public:
  AddJob(const Napi::CallbackInfo& info, std::shared_ptr<IndexState> state)
      : Worker(info.Env()),
        state_(std::move(state)),
        data_(TakeBytes(info[0], "data", this)),
        offset_(TakeInteger(info[1], "offset", 0, kOffsetMax)) {
    if (state_->adding || state_->searches > 0) ThrowBusy(info.Env());
    state_->adding = true;
  }

 protected:
  void Execute() override { state_->index.Add(SpanOf(data_), offset_); }
  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }
  void Finish(Napi::Env) override { state_->adding = false; }

 private:
  const std::shared_ptr<IndexState> state_;
  const Bytes data_;
  const uint64_t offset_;
};

class FindJob : public Worker {
 public:
  FindJob(const Napi::CallbackInfo& info, std::shared_ptr<IndexState> state)
      : Worker(info.Env()),
        state_(std::move(state)),
        target_(TakeBytes(info[0], "target", this)),
        offset_(TakeInteger(info[1], "targetOffset", 0, kOffsetMax)),
        in_place_(TakeBytes(info[2], "inPlace", this)),
        budget_(TakeInteger(info[3], "budget", 0, uint64_t{1} << 30)) {
    if (state_->adding) ThrowBusy(info.Env());
    ++state_->searches;
  }

 protected:
  void Execute() override {
    ranges_ =
        state_->index.Find({SpanOf(target_), offset_, SpanOf(in_place_), budget_, [this] { return Cancelled(); }});
  }
  Napi::Value Resolve(Napi::Env env) override {
    Napi::Float64Array pairs = Napi::Float64Array::New(env, ranges_.size() * 2);
    for (size_t i = 0; i < ranges_.size(); ++i) {
      pairs[2 * i] = static_cast<double>(ranges_[i].begin);
      pairs[2 * i + 1] = static_cast<double>(ranges_[i].end - ranges_[i].begin);
    }
    return pairs;
  }
  void Finish(Napi::Env) override { --state_->searches; }

 private:
  const std::shared_ptr<IndexState> state_;
  const Bytes target_;
  const uint64_t offset_;
  const Bytes in_place_;
  const uint64_t budget_;
  std::vector<window::Range> ranges_;
};

class UpdateJob : public Worker {
 public:
  UpdateJob(const Napi::CallbackInfo& info, std::shared_ptr<DigestState> state)
      : Worker(info.Env()), state_(std::move(state)), data_(TakeBytes(info[0], "data", this)) {
    if (state_->busy) ThrowBusy(info.Env());
    state_->busy = true;
  }

 protected:
  void Execute() override {
    if (state_->sha256) {
      state_->sha256->Update(data_.data, data_.length);
    } else {
      state_->blake3.UpdateParallel(data_.data, data_.length);
    }
  }
  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }
  void Finish(Napi::Env) override { state_->busy = false; }

 private:
  const std::shared_ptr<DigestState> state_;
  const Bytes data_;
};

template <typename Job, typename State>
Napi::Value Start(const Napi::CallbackInfo& info, const State& state) {
  auto job = std::make_unique<Job>(info, state);
  return job.release()->Queue();
}

Napi::Value CreateSourceIndex(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = std::make_shared<IndexState>(TakeInteger(info[0], "sourceBytes", 0, kOffsetMax));
  if (!state->index.good()) throw MakeError(env, "DK_LIMIT", "no memory for the index of the source");
  Napi::Object index = Napi::Object::New(env);
  using Info = const Napi::CallbackInfo&;
  Export(env, index, "add", [state](Info call) { return Start<AddJob>(call, state); });
  Export(env, index, "find", [state](Info call) { return Start<FindJob>(call, state); });
  return index;
}

Napi::Value FinishDigest(const Napi::CallbackInfo& info, const std::shared_ptr<DigestState>& state) {
  if (state->busy) ThrowBusy(info.Env());
  uint8_t digest[kDigestBytes];
  if (state->sha256) {
    state->sha256->Finish(digest);
  } else {
    state->blake3.Finish(digest);
  }
  return CopyToBuffer(info.Env(), digest, sizeof digest);
}

Napi::Value CreateDigest(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = std::make_shared<DigestState>();
  state->algo = TakeAlgo(info[0]);
  if (state->algo == Algo::kSha256) state->sha256.emplace();
  Napi::Object digest = Napi::Object::New(env);
  using Info = const Napi::CallbackInfo&;
  Export(env, digest, "update", [state](Info call) { return Start<UpdateJob>(call, state); });
  Export(env, digest, "finish", [state](Info call) { return FinishDigest(call, state); });
  return digest;
}

}  // namespace

void RegisterSourceIndex(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "createSourceIndex", CreateSourceIndex);
  Export(env, exports, "createDigest", CreateDigest);
}

}  // namespace dk
