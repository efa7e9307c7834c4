// Arguments in, results out. Everything here runs on the JS thread.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "binding/worker.h"
#include "common/memory_pool.h"

namespace dk {

enum class Algo { kBlake3, kSha256 };

// Throws a TypeError / RangeError with code DK_ARGUMENT.
[[noreturn]] void ThrowType(Napi::Env env, const std::string& message);
[[noreturn]] void ThrowRange(Napi::Env env, const std::string& message);

// Bytes of a Uint8Array or Uint32Array. A plain array's memory is used in place;
// shared or resizable memory can change or vanish under a job and is copied.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t length = 0;  // in bytes
  std::shared_ptr<std::vector<uint8_t>> copy;

  const uint32_t* words() const { return reinterpret_cast<const uint32_t*>(data); }
};

// `name` is for the message. With a worker the value is kept alive until the job ends.
Bytes TakeBytes(Napi::Value value, const char* name, Worker* worker = nullptr);
// As TakeBytes, for jobs that only copy: shared memory is read where it is, whatever others write there meanwhile.
Bytes TakeLiveBytes(Napi::Value value, const char* name, Worker* worker);
// At least `length` bytes that the job writes; the caller must not touch them before it has ended. Not shared, not
// resizable.
uint8_t* TakeRoom(Napi::Value value, size_t length, Worker* worker);
// undefined counts as no bytes.
Bytes TakeOptionalBytes(Napi::Value value, const char* name, Worker* worker = nullptr);
// A Uint32Array; `length` of the result is in bytes still.
Bytes TakeWords(Napi::Value value, const char* name, Worker* worker = nullptr);

Algo TakeAlgo(Napi::Value value);
Napi::Object TakeObject(Napi::Value value, const char* name);
// An integer from `low` to `high`; both at most 2^53 - 1.
uint64_t TakeInteger(Napi::Value value, const char* name, uint64_t low, uint64_t high);
uint64_t TakeOptionalInteger(Napi::Value value, const char* name, uint64_t low, uint64_t high, uint64_t fallback);
// A bigint of 64 bits; undefined counts as 0.
uint64_t TakeSeed(Napi::Value value);
// UTF-8; refuses a NUL inside.
std::string TakeString(Napi::Value value, const char* name);

// Memory that can be handed to JavaScript without a copy, and is used again after it.
class Output {
 public:
  Output() = default;
  // NOT zeroed, it may hold bytes of others: write every byte, or Shrink, before handing it out. Throws std::bad_alloc.
  explicit Output(size_t length);
  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  size_t length() const { return length_; }
  // Gives the unused end back to the allocator.
  void Shrink(size_t length);
  // Moves the bytes into a Buffer; the output is empty afterwards.
  Napi::Value ToBuffer(Napi::Env env);

 private:
  struct Give {
    Give() : Give(0) {}
    explicit Give(size_t length) : taken(length) {}
    void operator()(uint8_t* data) const { GiveMemory(data, taken); }
    size_t taken;
  };
  std::unique_ptr<uint8_t, Give> data_;
  size_t length_ = 0;
};

// A new Buffer with a copy of the bytes.
Napi::Value CopyToBuffer(Napi::Env env, const uint8_t* data, size_t length);
Napi::Value CopyToUint8Array(Napi::Env env, const std::vector<uint8_t>& values);
Napi::Value CopyToUint32Array(Napi::Env env, const std::vector<uint32_t>& values);

// Adds a function to the exports under a name.
template <typename Function>
void Export(Napi::Env env, Napi::Object exports, const char* name, Function function) {
  exports.Set(name, Napi::Function::New(env, function, name));
}

}  // namespace dk
