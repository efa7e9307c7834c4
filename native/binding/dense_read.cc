// openGroup: a group of a dense pack, read, checked and decompressed in one crossing; its records are made as they are
// asked for.
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

static_assert(dense::kDigestBytes == kDigestBytes, "digests are of one length");

using State = std::shared_ptr<dense::FoldedGroup>;

Napi::Value CopyRecords(const Napi::CallbackInfo& info, const State& state) {
  const uint64_t from = TakeInteger(info[0], "from", 0, kEndMax);
  const size_t length = TakeBytes(info[1], "into").length;
  uint8_t* into = TakeRoom(info[1], length, nullptr);
  try {
    state->Copy(from, into, length);
  } catch (const std::bad_alloc&) {
    throw MakeError(info.Env(), "DK_LIMIT", "no memory for the records of a group");
  }
  return info.Env().Undefined();
}

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
  }

 protected:
  void Execute() override {
    const size_t length = static_cast<size_t>(run_.length);
    const std::unique_ptr<uint8_t[]> group(new uint8_t[length]);
    const int64_t got = pages::ReadRun(fd_, run_, group.get());
    if (got < 0) return FailErrno(static_cast<int>(-got), "read");
    if (got != static_cast<int64_t>(length)) return;
    auto state = std::make_shared<dense::FoldedGroup>();
    if (dense::OpenGroup({group.get(), length}, place_, hash_, state.get())) state_ = std::move(state);
  }

  // Null when it has to be had otherwise.
  Napi::Value Resolve(Napi::Env env) override {
    if (!state_) return env.Null();
    Napi::Object opened = Napi::Object::New(env);
    const State state = std::move(state_);
    Export(env, opened, "copy", [state](const Napi::CallbackInfo& call) { return CopyRecords(call, state); });
    // The garbage collector does not see this memory: without this it would collect far too late.
    const int64_t counted = static_cast<int64_t>(state->memory());
    Napi::MemoryManagement::AdjustExternalMemory(env, counted);
    opened.AddFinalizer(
        [](Napi::Env finalizer_env, int64_t* held) {
          const std::unique_ptr<int64_t> owner(held);
          Napi::MemoryManagement::AdjustExternalMemory(finalizer_env, -*owner);
        },
        new int64_t(counted));
    return opened;
  }

 private:
  int fd_ = -1;
  pages::Run run_;
  std::vector<uint8_t> home_;
  dense::GroupPlace place_;
  dense::Hash hash_ = nullptr;
  State state_;
};

}  // namespace

void RegisterDenseRead(Napi::Env env, Napi::Object exports) { Export(env, exports, "openGroup", RunJob<GroupJob>); }

}  // namespace dk
