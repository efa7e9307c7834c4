// digest, digestAsync, digestMany, merkleRoot, xxh3, and blake3FromGroups for the tests.
#include <algorithm>
#include <cstring>

#include "binding/args.h"
#include "binding/digest_by.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "common/thread_pool.h"
#include "xxhash/xxhash_face.h"

namespace dk {
namespace {

Napi::Value Digest(const Napi::CallbackInfo& info) {
  const Algo algo = TakeAlgo(info[0]);
  const Bytes bytes = TakeBytes(info[1], "data");
  uint8_t digest[kDigestBytes];
  DigestBy(algo, bytes.data, bytes.length, digest);
  return CopyToBuffer(info.Env(), digest, sizeof digest);
}

// Hashed in 10 us.
constexpr size_t kQuickBytes = 32 << 10;
constexpr size_t kQuickPieces = 64;

class DigestJob : public Worker {
 public:
  explicit DigestJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), algo_(TakeAlgo(info[0])), bytes_(TakeBytes(info[1], "data", this)) {}

 protected:
  void Execute() override {
    if (algo_ == Algo::kBlake3) {
      blake3::HashParallel(bytes_.data, bytes_.length, digest_);
      return;
    }
    sha256::Hasher hasher;
    for (size_t at = 0; at < bytes_.length && !Cancelled(); at += kPollBytes) {
      hasher.Update(bytes_.data + at, std::min(kPollBytes, bytes_.length - at));
    }
    hasher.Finish(digest_);
  }

  bool IsQuick() const override { return bytes_.length <= kQuickBytes; }

  Napi::Value Resolve(Napi::Env env) override { return CopyToBuffer(env, digest_, sizeof digest_); }

 private:
  static constexpr size_t kPollBytes = 16 << 20;
  const Algo algo_;
  const Bytes bytes_;
  uint8_t digest_[kDigestBytes];
};

class DigestManyJob : public Worker {
 public:
  explicit DigestManyJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        algo_(TakeAlgo(info[0])),
        bytes_(TakeBytes(info[1], "data", this)),
        lengths_(TakeWords(info[2], "lengths", this)),
        starts_(lengths_.length / 4) {
    uint64_t total = 0;
    for (size_t i = 0; i < starts_.size(); ++i) {
      starts_[i] = total;
      total += lengths_.words()[i];
    }
    if (total != bytes_.length) ThrowRange(info.Env(), "lengths must add up to the data");
    digests_ = Output(starts_.size() * kDigestBytes);
  }

 protected:
  void Execute() override {
    const auto digest = [this](size_t i) {
      if (Cancelled()) return;
      DigestBy(algo_, bytes_.data + starts_[i], lengths_.words()[i], digests_.data() + i * kDigestBytes);
    };
    if (!IsQuick()) return ParallelFor(starts_.size(), digest);
    for (size_t i = 0; i < starts_.size(); ++i) digest(i);
  }

  bool IsQuick() const override { return bytes_.length <= kQuickBytes && starts_.size() <= kQuickPieces; }

  Napi::Value Resolve(Napi::Env env) override { return digests_.ToBuffer(env); }

 private:
  const Algo algo_;
  const Bytes bytes_;
  const Bytes lengths_;
  std::vector<uint64_t> starts_;
  Output digests_;
};

Napi::Value MerkleRoot(const Napi::CallbackInfo& info) {
  const Algo algo = TakeAlgo(info[0]);
  const Bytes leaves = TakeBytes(info[1], "leaves");
  if (leaves.length % kDigestBytes != 0) ThrowRange(info.Env(), "leaves must be 32 bytes each");
  uint8_t root[kDigestBytes];
  size_t count = leaves.length / kDigestBytes;
  if (count == 0) {
    DigestBy(algo, leaves.data, 0, root);
    return CopyToBuffer(info.Env(), root, sizeof root);
  }
  // Pairing neighbours level by level, an odd last one moving up as it is, gives the shape of RFC 6962.
  std::vector<uint8_t> level(leaves.data, leaves.data + leaves.length);
  uint8_t node[1 + 2 * kDigestBytes];
  node[0] = 1;
  for (; count > 1; count = (count + 1) / 2) {
    for (size_t i = 0; i + 1 < count; i += 2) {
      memcpy(node + 1, level.data() + i * kDigestBytes, 2 * kDigestBytes);
      DigestBy(algo, node, sizeof node, level.data() + i / 2 * kDigestBytes);
    }
    if (count % 2 == 1) {
      memmove(level.data() + count / 2 * kDigestBytes, level.data() + (count - 1) * kDigestBytes, kDigestBytes);
    }
  }
  return CopyToBuffer(info.Env(), level.data(), kDigestBytes);
}

Napi::Value Xxh3(const Napi::CallbackInfo& info) {
  const Bytes bytes = TakeBytes(info[0], "data");
  const uint64_t seed = TakeSeed(info[1]);
  return Napi::BigInt::New(info.Env(), xxhash::Hash64(bytes.data, bytes.length, seed));
}

// BLAKE3 by way of group values and the tail behind them: must equal the plain digest.
Napi::Value Blake3FromGroups(const Napi::CallbackInfo& info) {
  const Bytes bytes = TakeBytes(info[0], "data");
  size_t groups = bytes.length / blake3::kGroupBytes;
  if (bytes.length == blake3::kGroupBytes) groups = 0;
  std::vector<uint8_t> values(groups * kDigestBytes);
  for (size_t i = 0; i < groups; ++i) {
    blake3::GroupValue(bytes.data + i * blake3::kGroupBytes, i, values.data() + i * kDigestBytes);
  }
  const size_t tail = groups * blake3::kGroupBytes;
  uint8_t root[kDigestBytes];
  if (!blake3::RootFromGroups(values.data(), groups, bytes.data + tail, bytes.length - tail, root)) {
    throw MakeError(info.Env(), "DK_ARGUMENT", "the root cannot be computed from one group");
  }
  return CopyToBuffer(info.Env(), root, sizeof root);
}

}  // namespace

void RegisterDigest(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "digest", Digest);
  Export(env, exports, "digestAsync", RunJob<DigestJob>);
  Export(env, exports, "digestMany", RunJob<DigestManyJob>);
  Export(env, exports, "merkleRoot", MerkleRoot);
  Export(env, exports, "xxh3", Xxh3);
  Export(env, exports, "blake3FromGroups", Blake3FromGroups);
}

}  // namespace dk
