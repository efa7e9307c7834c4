// openGroup: a group of a dense pack, read and checked in one crossing, and as much of it decoded as is asked for; its
// records are made as they are copied.
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "binding/args.h"
#include "binding/digest_by.h"
#include "binding/register.h"
#include "dense/dense_group.h"
#include "pages/run_read.h"

namespace dk {
namespace {

constexpr uint64_t kEndMax = uint64_t{1} << 52;
// After so many decodings of a part all of a group is decoded: each begins at its beginning.
constexpr unsigned kPartsMax = 2;

static_assert(dense::kDigestBytes == kDigestBytes, "digests are of one length");

using GroupBytes = std::vector<uint8_t>;

// JS thread only, but for the bytes, which stay as they are.
struct GroupState {
  std::shared_ptr<const GroupBytes> group;
  dense::FoldedGroup folded;
  unsigned parts = 1;
  // What the garbage collector was told of: it does not see this memory, and would collect far too late.
  int64_t counted = 0;

  void Count(Napi::Env env) {
    const int64_t now = static_cast<int64_t>(group->size() + folded.memory());
    Napi::MemoryManagement::AdjustExternalMemory(env, now - counted);
    counted = now;
  }
};

using State = std::shared_ptr<GroupState>;

dense::Stretch TakeStretch(Napi::Value from, uint64_t length) {
  return {TakeInteger(from, "from", 0, kEndMax), length};
}

// False when some of it has to be fetched first.
Napi::Value CopyRecords(const Napi::CallbackInfo& info, const State& state) {
  const size_t length = TakeBytes(info[1], "into").length;
  const dense::Stretch wanted = TakeStretch(info[0], length);
  uint8_t* into = TakeRoom(info[1], length, nullptr);
  try {
    if (!state->folded.Missing(wanted).empty()) return Napi::Boolean::New(info.Env(), false);
    state->folded.Copy(wanted.from, into, length);
  } catch (const std::bad_alloc&) {
    throw MakeError(info.Env(), "DK_LIMIT", "no memory for the records of a group");
  }
  return Napi::Boolean::New(info.Env(), true);
}

class BodiesJob : public Worker {
 public:
  BodiesJob(const Napi::CallbackInfo& info, State state) : Worker(info.Env()), state_(std::move(state)) {
    const dense::Stretch wanted = TakeStretch(info[0], TakeInteger(info[1], "length", 0, kEndMax));
    try {
      missing_ = state_->folded.Missing(wanted);
    } catch (const std::bad_alloc&) {
      throw MakeError(info.Env(), "DK_LIMIT", "no memory for the records of a group");
    }
    folded_bytes_ = state_->folded.folded_bytes();
    all_ = state_->parts >= kPartsMax;
    if (!missing_.empty()) ++state_->parts;
    group_ = state_->group;
  }

 protected:
  void Execute() override {
    if (missing_.empty()) {
      good_ = true;
    } else if (all_) {
      good_ = dense::DecodeAll(SpanOf(), folded_bytes_, &bodies_);
    } else {
      good_ = dense::DecodeBodies(SpanOf(), folded_bytes_, missing_, &bodies_);
    }
  }

  Napi::Value Resolve(Napi::Env env) override {
    if (good_) state_->folded.Add(std::move(bodies_));
    state_->Count(env);
    return Napi::Boolean::New(env, good_);
  }

 private:
  ByteSpan SpanOf() const { return {group_->data(), group_->size()}; }

  const State state_;
  std::shared_ptr<const GroupBytes> group_;
  std::vector<dense::Body> missing_;
  size_t folded_bytes_ = 0;
  bool all_ = false;
  dense::Bodies bodies_;
  bool good_ = false;
};

class GroupJob : public Worker {
 public:
  explicit GroupJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    fd_ = static_cast<int>(TakeInteger(info[0], "fd", 0, 0x7fffffff));
    const Napi::Object group = TakeObject(info[1], "group");
    run_.offset = TakeInteger(group.Get("place"), "place", 0, kEndMax);
    run_.length = TakeInteger(group.Get("groupBytes"), "groupBytes", 1, dense::kFileBytesMax);
    place_.offset = TakeInteger(group.Get("offset"), "offset", 0, kEndMax);
    place_.bytes = TakeInteger(group.Get("bytes"), "bytes", 0, dense::kGroupBytesMax);
    const Bytes home = TakeBytes(group.Get("home"), "home");
    if (home.length > dense::kHomeBytesMax) ThrowRange(info.Env(), "home is too long");
    home_.assign(home.data, home.data + home.length);
    place_.home = {home_.data(), home_.size()};
    hash_ = TakeAlgo(info[2]) == Algo::kBlake3 ? blake3::Hash : sha256::Hash;
    const Napi::Object wanted = TakeObject(info[3], "wanted");
    wanted_ = TakeStretch(wanted.Get("from"), TakeInteger(wanted.Get("length"), "length", 0, kEndMax));
  }

 protected:
  void Execute() override {
    auto group = std::make_shared<GroupBytes>(static_cast<size_t>(run_.length));
    const int64_t got = pages::ReadRun(fd_, run_, group->data());
    if (got < 0) return FailErrno(static_cast<int>(-got), "read");
    if (got != static_cast<int64_t>(group->size())) return;
    auto state = std::make_shared<GroupState>();
    if (!dense::OpenGroup({group->data(), group->size()}, place_, hash_, wanted_, &state->folded)) return;
    state->group = std::move(group);
    state_ = std::move(state);
  }

  // Null when it has to be had otherwise.
  Napi::Value Resolve(Napi::Env env) override {
    if (!state_) return env.Null();
    Napi::Object opened = Napi::Object::New(env);
    const State state = std::move(state_);
    Export(env, opened, "copy", [state](const Napi::CallbackInfo& call) { return CopyRecords(call, state); });
    Export(env, opened, "fetch", [state](const Napi::CallbackInfo& call) {
      return std::make_unique<BodiesJob>(call, state).release()->Queue();
    });
    state->Count(env);
    opened.AddFinalizer(
        [](Napi::Env finalizer_env, State* held) {
          const std::unique_ptr<State> owner(held);
          Napi::MemoryManagement::AdjustExternalMemory(finalizer_env, -(*owner)->counted);
        },
        new State(state));
    return opened;
  }

 private:
  int fd_ = -1;
  pages::Run run_;
  std::vector<uint8_t> home_;
  dense::GroupPlace place_;
  dense::Hash hash_ = nullptr;
  dense::Stretch wanted_;
  State state_;
};

}  // namespace

void RegisterDenseRead(Napi::Env env, Napi::Object exports) { Export(env, exports, "openGroup", RunJob<GroupJob>); }

}  // namespace dk
