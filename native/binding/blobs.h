// What encoding and decoding of blob batches share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "binding/args.h"
#include "binding/worker.h"
#include "common/thread_pool.h"
#include "zstd/zstd_face.h"

namespace dk {

// CODEC of src/engine/engine.ts. Stored in packs: never change, never reuse.
enum class Codec : uint8_t { kRaw = 0, kZstd = 1, kZstdContext = 2, kXor = 3 };

// Consecutive pieces of one array, with their lengths in another.
class Pieces {
 public:
  // Throws a RangeError unless the lengths add up to the bytes.
  void Take(const Napi::Object& batch, const char* bytes_name, const char* lengths_name, Worker* worker) {
    bytes_ = TakeBytes(batch.Get(bytes_name), bytes_name, worker);
    const Bytes lengths = TakeWords(batch.Get(lengths_name), lengths_name);
    // Copied: read once, so that what was checked is what is used.
    lengths_.assign(lengths.words(), lengths.words() + lengths.length / 4);
    uint64_t total = 0;
    for (const uint32_t length : lengths_) {
      starts_.push_back(total);
      total += length;
    }
    if (total != bytes_.length) {
      ThrowRange(batch.Env(), std::string(lengths_name) + " must add up to " + bytes_name);
    }
  }

  size_t count() const { return lengths_.size(); }
  size_t bytes() const { return bytes_.length; }
  zstd::Span At(size_t i) const { return {bytes_.data + starts_[i], lengths_[i]}; }

 private:
  Bytes bytes_;
  std::vector<uint32_t> lengths_;
  std::vector<uint64_t> starts_;
};

// Values of `status` in src/engine/engine.ts.
constexpr uint8_t kGood = 0;
constexpr uint8_t kUndecodable = 1;
constexpr uint8_t kOtherBytes = 2;
constexpr uint8_t kContextLost = 3;

// Decoding of a batch: `data` and a status per item, items in parallel.
class DecodingJob : public Worker {
 protected:
  using Worker::Worker;

  void Execute() override {
    data_ = Output(total_);
    status_.resize(decoded_.size());
    ParallelFor(decoded_.size(), [this](size_t i) {
      if (!Cancelled()) Decode(i);
    });
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("data", data_.ToBuffer(env));
    result.Set("status", CopyToUint8Array(env, status_));
    return result;
  }

  // Sets the item's status and its bytes, zeros when it failed. Pool threads.
  virtual void Decode(size_t item) = 0;

  Bytes codecs_;
  Bytes digests_;
  Algo algo_ = Algo::kBlake3;
  std::vector<uint32_t> decoded_;  // length of each item
  uint64_t total_ = 0;             // bytes of `data`
  Output data_;
  std::vector<uint8_t> status_;
};

// One coded blob.
struct Coded {
  uint8_t codec;
  zstd::Span payload;
  zstd::Span context;
  const uint8_t* digest;
};

// Decodes all `length` bytes of `out`, and nothing else: kGood or kUndecodable. Throws std::bad_alloc.
uint8_t DecodeUnverified(const Coded& coded, uint8_t* out, size_t length);

// As above, and compares the digest: any of the values above. What `out` holds is only to be used when it says kGood.
uint8_t DecodeVerified(const Coded& coded, Algo algo, uint8_t* out, size_t length);

}  // namespace dk
