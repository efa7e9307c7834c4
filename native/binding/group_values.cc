// groupValues, groupValuesSync, rootOfGroups, xxh3Groups, xxh3Wide: digests of an input whose parts come in any order.
#include <algorithm>

#include "binding/args.h"
#include "binding/register.h"
#include "blake3/blake3_face.h"
#include "xxhash/xxhash_face.h"

namespace dk {
namespace {

constexpr uint64_t kGroupsMax = uint64_t{1} << 36;

void CheckWhole(Napi::Env env, const Bytes& data) {
  if (data.length % blake3::kGroupBytes != 0) ThrowRange(env, "data must be whole groups of 65536 bytes");
}

class GroupValuesJob : public Worker {
 public:
  explicit GroupValuesJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        data_(TakeBytes(info[0], "data", this)),
        first_(TakeInteger(info[1], "firstGroup", 0, kGroupsMax)) {
    CheckWhole(info.Env(), data_);
  }

 protected:
  void Execute() override {
    const size_t count = data_.length / blake3::kGroupBytes;
    values_ = Output(count * blake3::kDigestBytes);
    for (size_t i = 0; i < count; ++i) {
      if (i % 64 == 63 && Cancelled()) {
        Accept(Status::kCancelled, "groupValues");
        return;
      }
      blake3::GroupValue(data_.data + i * blake3::kGroupBytes, first_ + i, values_.data() + i * blake3::kDigestBytes);
    }
  }

  Napi::Value Resolve(Napi::Env env) override { return values_.ToBuffer(env); }

 private:
  const Bytes data_;
  const uint64_t first_;
  Output values_;
};

// On the calling thread, for bytes that are in its cache: handing them to another one costs as much as hashing them.
Napi::Value GroupValuesSync(const Napi::CallbackInfo& info) {
  const Bytes data = TakeBytes(info[0], "data");
  const uint64_t first = TakeInteger(info[1], "firstGroup", 0, kGroupsMax);
  CheckWhole(info.Env(), data);
  const size_t count = data.length / blake3::kGroupBytes;
  const auto values = Napi::Buffer<uint8_t>::New(info.Env(), count * blake3::kDigestBytes);
  for (size_t i = 0; i < count; ++i) {
    blake3::GroupValue(data.data + i * blake3::kGroupBytes, first + i, values.Data() + i * blake3::kDigestBytes);
  }
  return values;
}

// Quick even for terabytes: one compression for every 64 KiB of input.
Napi::Value RootOfGroups(const Napi::CallbackInfo& info) {
  const Bytes groups = TakeBytes(info[0], "groups");
  const Bytes tail = TakeBytes(info[1], "tail");
  if (groups.length % blake3::kDigestBytes != 0) ThrowRange(info.Env(), "groups must be 32 bytes each");
  if (tail.length > blake3::kGroupBytes) ThrowRange(info.Env(), "tail is longer than a group");
  uint8_t root[blake3::kDigestBytes];
  if ((tail.length == 0 && groups.length > 0) ||
      !blake3::RootFromGroups(groups.data, groups.length / blake3::kDigestBytes, tail.data, tail.length, root)) {
    ThrowRange(info.Env(), "the last group must come as tail");
  }
  return CopyToBuffer(info.Env(), root, sizeof root);
}

constexpr size_t kWideBytes = 16;

// Always on the calling thread: it takes less time than to hand the bytes over.
Napi::Value Xxh3Groups(const Napi::CallbackInfo& info) {
  const Bytes data = TakeBytes(info[0], "data");
  const uint64_t seed = TakeSeed(info[1]);
  const size_t count = (data.length + blake3::kGroupBytes - 1) / blake3::kGroupBytes;
  const auto values = Napi::Buffer<uint8_t>::New(info.Env(), count * kWideBytes);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = i * blake3::kGroupBytes;
    const size_t length = std::min(blake3::kGroupBytes, data.length - at);
    xxhash::Hash128(data.data + at, length, seed, values.Data() + i * kWideBytes);
  }
  return values;
}

Napi::Value Xxh3Wide(const Napi::CallbackInfo& info) {
  const Bytes data = TakeBytes(info[0], "data");
  const uint64_t seed = TakeSeed(info[1]);
  uint8_t digest[kWideBytes];
  xxhash::Hash128(data.data, data.length, seed, digest);
  return CopyToBuffer(info.Env(), digest, sizeof digest);
}

}  // namespace

void RegisterGroupValues(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "groupValues", RunJob<GroupValuesJob>);
  Export(env, exports, "groupValuesSync", GroupValuesSync);
  Export(env, exports, "rootOfGroups", RootOfGroups);
  Export(env, exports, "xxh3Groups", Xxh3Groups);
  Export(env, exports, "xxh3Wide", Xxh3Wide);
}

}  // namespace dk
