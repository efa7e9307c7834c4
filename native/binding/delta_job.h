// What the jobs of all delta engines share: bytes in, a delta or a target out. An engine adds its own arguments and
// Execute.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/worker.h"
#include "common/byte_span.h"

namespace dk {

// What a Buffer can hold in every supported Node.
constexpr uint64_t kBufferBytesMax = 0xffffffff;

inline ByteSpan SpanOf(const Bytes& bytes) { return {bytes.data, bytes.length}; }

// Arguments: source, target, then the engine's own.
class DiffJob : public Worker {
 public:
  explicit DiffJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), source_(TakeBytes(info[0], "source", this)), target_(TakeBytes(info[1], "target", this)) {}

 protected:
  Napi::Value Resolve(Napi::Env env) override { return MoveToBuffer(env, std::move(delta_)); }

  const Bytes source_;
  const Bytes target_;
  std::vector<uint8_t> delta_;
};

// Arguments: source, delta, and a number of bytes: the target's own length, or the longest that is allowed.
class PatchJob : public Worker {
 public:
  PatchJob(const Napi::CallbackInfo& info, const char* delta_name, const char* length_name)
      : Worker(info.Env()),
        source_(TakeBytes(info[0], "source", this)),
        delta_(TakeBytes(info[1], delta_name, this)),
        length_(TakeInteger(info[2], length_name, 0, kBufferBytesMax)) {}

 protected:
  Napi::Value Resolve(Napi::Env env) override { return target_.ToBuffer(env); }

  // Makes room for a target whose length the delta says itself; false (and failed) when more is not allowed.
  bool MakeRoom(const char* verb, uint64_t length) {
    if (length > length_) {
      Fail("DK_LIMIT", std::string(verb) + ": the delta makes " + std::to_string(length) + " bytes; at most " +
                           std::to_string(length_) + " are allowed");
      return false;
    }
    target_ = Output(length);
    return true;
  }

  const Bytes source_;
  const Bytes delta_;
  const uint64_t length_;
  Output target_;
};

}  // namespace dk
