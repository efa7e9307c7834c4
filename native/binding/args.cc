#include "binding/args.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "common/thread_pool.h"

namespace dk {
namespace {

// Below this a copy into memory of the engine is cheaper than an external buffer with its finalizer.
constexpr size_t kExternalFrom = 8192;

// Such memory changes, but it never goes away and never gets shorter.
bool IsShared(Napi::Value buffer) { return !buffer.IsArrayBuffer(); }

bool MayChangeUnderUs(Napi::Value buffer) {
  if (IsShared(buffer)) return true;
  const Napi::Value resizable = buffer.As<Napi::Object>().Get("resizable");
  return resizable.IsBoolean() && resizable.As<Napi::Boolean>().Value();
}

Bytes TakeTyped(Napi::Value value, const char* name, napi_typedarray_type wanted, const char* wanted_name,
                Worker* worker, bool live = false) {
  const Napi::Env env = value.Env();
  if (!value.IsTypedArray()) ThrowType(env, std::string(name) + " must be a " + wanted_name);
  napi_typedarray_type type;
  size_t elements = 0;
  size_t offset = 0;
  void* data = nullptr;
  napi_value buffer;
  if (napi_get_typedarray_info(env, value, &type, &elements, &data, &buffer, &offset) != napi_ok || type != wanted) {
    ThrowType(env, std::string(name) + " must be a " + wanted_name);
  }
  Bytes bytes;
  bytes.length = elements * (wanted == napi_uint32_array ? 4 : 1);
  bytes.data = static_cast<const uint8_t*>(data);
  static const uint32_t nothing = 0;
  if (bytes.length == 0) {
    bytes.data = reinterpret_cast<const uint8_t*>(&nothing);
  } else if (!(live && IsShared(Napi::Value(env, buffer))) && MayChangeUnderUs(Napi::Value(env, buffer))) {
    bytes.copy = std::make_shared<std::vector<uint8_t>>(bytes.data, bytes.data + bytes.length);
    bytes.data = bytes.copy->data();
  } else if (worker != nullptr) {
    worker->Keep(value);
  }
  return bytes;
}

}  // namespace

void ThrowType(Napi::Env env, const std::string& message) { throw MakeError(env, "DK_ARGUMENT", message, 'T'); }

void ThrowRange(Napi::Env env, const std::string& message) { throw MakeError(env, "DK_ARGUMENT", message, 'R'); }

Bytes TakeBytes(Napi::Value value, const char* name, Worker* worker) {
  return TakeTyped(value, name, napi_uint8_array, "Uint8Array", worker);
}

Bytes TakeLiveBytes(Napi::Value value, const char* name, Worker* worker) {
  return TakeTyped(value, name, napi_uint8_array, "Uint8Array", worker, true);
}

uint8_t* TakeRoom(Napi::Value value, size_t length, Worker* worker) {
  const Bytes into = TakeBytes(value, "into", worker);
  if (into.copy) ThrowType(value.Env(), "into must not be shared or resizable memory");
  if (into.length < length) ThrowRange(value.Env(), "into is shorter than what goes there");
  return const_cast<uint8_t*>(into.data);
}

uint64_t TakeSeed(Napi::Value value) {
  if (value.IsUndefined()) return 0;
  bool lossless = false;
  const uint64_t seed = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) ThrowRange(value.Env(), "seed must be a bigint from 0 to 2^64 - 1");
  return seed;
}

Bytes TakeOptionalBytes(Napi::Value value, const char* name, Worker* worker) {
  return value.IsUndefined() ? Bytes() : TakeBytes(value, name, worker);
}

Bytes TakeWords(Napi::Value value, const char* name, Worker* worker) {
  return TakeTyped(value, name, napi_uint32_array, "Uint32Array", worker);
}

Algo TakeAlgo(Napi::Value value) {
  if (value.IsString()) {
    const std::string name = value.As<Napi::String>().Utf8Value();
    if (name == "blake3") return Algo::kBlake3;
    if (name == "sha256") return Algo::kSha256;
  }
  ThrowType(value.Env(), "algo must be 'blake3' or 'sha256'");
}

Napi::Object TakeObject(Napi::Value value, const char* name) {
  if (!value.IsObject()) ThrowType(value.Env(), std::string(name) + " must be an object");
  return value.As<Napi::Object>();
}

uint64_t TakeInteger(Napi::Value value, const char* name, uint64_t low, uint64_t high) {
  if (!value.IsNumber()) ThrowType(value.Env(), std::string(name) + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  // Written so that NaN fails.
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) || number != std::floor(number)) {
    ThrowRange(value.Env(),
               std::string(name) + " must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return static_cast<uint64_t>(number);
}

uint64_t TakeOptionalInteger(Napi::Value value, const char* name, uint64_t low, uint64_t high, uint64_t fallback) {
  return value.IsUndefined() ? fallback : TakeInteger(value, name, low, high);
}

std::string TakeString(Napi::Value value, const char* name) {
  if (!value.IsString()) ThrowType(value.Env(), std::string(name) + " must be a string");
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) {
    ThrowType(value.Env(), std::string(name) + " must not contain NUL");
  }
  return text;
}

Output::Output(size_t length) : data_(TakeMemory(length), Give{length}), length_(length) {}

void Output::Shrink(size_t length) {
  if (length >= length_) return;
  // Half of it may lie idle; more would keep memory from others.
  if (length < length_ / 2) {
    Output shorter(length);
    memcpy(shorter.data(), data(), length);
    *this = std::move(shorter);
  }
  length_ = length;
}

Napi::Value Output::ToBuffer(Napi::Env env) {
  const size_t length = std::exchange(length_, 0);
  if (length < kExternalFrom) {
    const std::unique_ptr<uint8_t, Give> owner = std::move(data_);
    return CopyToBuffer(env, owner.get(), length);
  }
  const size_t taken = data_.get_deleter().taken;
  uint8_t* data = data_.release();
  // The garbage collector does not see external memory: without this it would collect far too late.
  Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(taken));
  return Napi::Buffer<uint8_t>::NewOrCopy(env, data, length, [taken](Napi::Env finalizer_env, uint8_t* memory) {
    GiveMemory(memory, taken, PoolFree);
    Napi::MemoryManagement::AdjustExternalMemory(finalizer_env, -static_cast<int64_t>(taken));
  });
}

Napi::Value CopyToBuffer(Napi::Env env, const uint8_t* data, size_t length) {
  return Napi::Buffer<uint8_t>::Copy(env, data, length);
}

Napi::Value CopyToUint8Array(Napi::Env env, const std::vector<uint8_t>& values) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, values.size());
  if (!values.empty()) memcpy(array.Data(), values.data(), values.size());
  return array;
}

Napi::Value CopyToUint32Array(Napi::Env env, const std::vector<uint32_t>& values) {
  Napi::Uint32Array array = Napi::Uint32Array::New(env, values.size());
  if (!values.empty()) memcpy(array.Data(), values.data(), values.size() * sizeof(uint32_t));
  return array;
}

}  // namespace dk
