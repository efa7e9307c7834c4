// createRoom, copyRanges, equalBytes, xxh3Async: what is done to large memory, away from the event loop.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "binding/delta_job.h"
#include "binding/register.h"
#include "xxhash/xxhash_face.h"

namespace dk {
namespace {

constexpr size_t kRangesMax = 1 << 20;
// Copied between two looks at the cancellation.
constexpr size_t kStepBytes = size_t{16} << 20;
// Of src/engine/state-verbs.ts: a range of zeros comes from here.
constexpr double kFromZeros = -1;

struct Range {
  size_t to;
  size_t from;
  size_t length;
  bool zeros;
};

// Begin and length of a range inside so many bytes. Written so that NaN fails.
bool Inside(double begin, double length, size_t bytes) {
  const auto most = static_cast<double>(bytes);
  return begin >= 0 && length >= 0 && begin <= most && length <= most - begin && begin == std::floor(begin) &&
         length == std::floor(length);
}

class CopyRangesJob : public Worker {
 public:
  explicit CopyRangesJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), into_(TakeRoom(info[0], 0, this)), from_(TakeLiveBytes(info[1], "from", this)) {
    const Napi::Env env = info.Env();
    const size_t room = info[0].As<Napi::Uint8Array>().ByteLength();
    if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
      ThrowType(env, "ranges must be a Float64Array");
    }
    // Copied: what was checked is what is used.
    const Napi::Float64Array numbers = info[2].As<Napi::Float64Array>();
    const size_t count = numbers.ElementLength();
    if (count % 3 != 0 || count / 3 > kRangesMax) ThrowRange(env, "ranges must be rows of three numbers");
    ranges_.reserve(count / 3);
    for (size_t i = 0; i < count; i += 3) {
      const double to = numbers[i], from = numbers[i + 1], length = numbers[i + 2];
      const bool zeros = from == kFromZeros;
      if (!Inside(to, length, room) || (!zeros && !Inside(from, length, from_.length))) {
        ThrowRange(env, "a range leaves its memory");
      }
      ranges_.push_back(
          {static_cast<size_t>(to), zeros ? 0 : static_cast<size_t>(from), static_cast<size_t>(length), zeros});
    }
  }

 protected:
  void Execute() override {
    size_t since = 0;
    for (const Range& range : ranges_) {
      for (size_t done = 0; done < range.length;) {
        const size_t length = std::min(kStepBytes, range.length - done);
        uint8_t* const at = into_ + range.to + done;
        if (range.zeros)
          memset(at, 0, length);
        else
          memmove(at, from_.data + range.from + done, length);
        done += length;
        since += length;
        if (since < kStepBytes) continue;
        since = 0;
        if (Cancelled()) return;
      }
    }
  }

  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }

 private:
  uint8_t* const into_;
  const Bytes from_;
  std::vector<Range> ranges_;
};

class EqualBytesJob : public Worker {
 public:
  explicit EqualBytesJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), one_(TakeBytes(info[0], "one", this)), other_(TakeBytes(info[1], "other", this)) {}

 protected:
  void Execute() override {
    equal_ = one_.length == other_.length;
    for (size_t at = 0; equal_ && at < one_.length && !Cancelled(); at += kStepBytes) {
      equal_ = memcmp(one_.data + at, other_.data + at, std::min(kStepBytes, one_.length - at)) == 0;
    }
  }
  Napi::Value Resolve(Napi::Env env) override { return Napi::Boolean::New(env, equal_); }

 private:
  const Bytes one_, other_;
  bool equal_ = false;
};

class Xxh3Job : public Worker {
 public:
  explicit Xxh3Job(const Napi::CallbackInfo& info)
      : Worker(info.Env()), data_(TakeBytes(info[0], "data", this)), seed_(TakeSeed(info[1])) {}

 protected:
  void Execute() override { hash_ = xxhash::Hash64(data_.data, data_.length, seed_); }
  Napi::Value Resolve(Napi::Env env) override { return Napi::BigInt::New(env, hash_); }

 private:
  const Bytes data_;
  const uint64_t seed_;
  uint64_t hash_ = 0;
};

Napi::Value CreateRoom(const Napi::CallbackInfo& info) {
  const size_t length = TakeInteger(info[0], "bytes", 0, kBufferBytesMax);
  try {
    return Output(length).ToBuffer(info.Env());
  } catch (const std::bad_alloc&) {
    throw MakeError(info.Env(), "DK_LIMIT", "no memory for " + std::to_string(length) + " bytes");
  }
}

}  // namespace

void RegisterMemory(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "createRoom", CreateRoom);
  Export(env, exports, "copyRanges", RunJob<CopyRangesJob>);
  Export(env, exports, "equalBytes", RunJob<EqualBytesJob>);
  Export(env, exports, "xxh3Async", RunJob<Xxh3Job>);
}

}  // namespace dk
