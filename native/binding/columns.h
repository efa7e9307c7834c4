// Crossing of stat rows, packed paths and whole vectors. JS thread only.
#pragma once

#include <napi.h>

#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "binding/args.h"
#include "common/thread_pool.h"
#include "pages/beneath.h"
#include "pages/content_digest.h"
#include "pages/stat_row.h"

namespace dk {

inline pages::DigestAlgo TakeDigestAlgo(Napi::Value value) {
  return TakeAlgo(value) == Algo::kSha256 ? pages::DigestAlgo::kSha256 : pages::DigestAlgo::kBlake3;
}

// Rows of a BigInt64Array, copied: exactly `count` of them.
inline std::vector<pages::StatRow> TakeRows(Napi::Value value, size_t count, const char* name) {
  const Napi::Env env = value.Env();
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_bigint64_array) {
    ThrowType(env, std::string(name) + " must be a BigInt64Array");
  }
  napi_typedarray_type type;
  size_t elements = 0;
  size_t offset = 0;
  void* data = nullptr;
  napi_value buffer;
  const napi_status status = napi_get_typedarray_info(env, value, &type, &elements, &data, &buffer, &offset);
  if (status != napi_ok || elements != count * pages::kStatColumns) {
    ThrowRange(env, std::string(name) + " must hold " + std::to_string(pages::kStatColumns) + " values for each path");
  }
  std::vector<pages::StatRow> rows(count);
  if (count > 0) std::memcpy(rows.data(), data, count * sizeof(pages::StatRow));
  return rows;
}

inline Napi::Value RowsToArray(Napi::Env env, const pages::StatRow* rows, size_t count) {
  Napi::BigInt64Array array = Napi::BigInt64Array::New(env, count * pages::kStatColumns);
  if (count > 0) std::memcpy(array.Data(), rows, count * sizeof(pages::StatRow));
  return array;
}

inline std::string TakeText(Napi::Value value, const char* name) {
  const Bytes bytes = TakeBytes(value, name);
  return std::string(reinterpret_cast<const char*>(bytes.data), bytes.length);
}

// One path as bytes; the empty one is the root.
inline std::string TakePath(Napi::Value value, const char* name) {
  std::string path = TakeText(value, name);
  if (!path.empty() && !pages::IsSafePath(path)) {
    ThrowRange(value.Env(), std::string(name) + " must be a relative path without '.' and '..'");
  }
  return path;
}

// The typed array of a name, of `count` values when that is not negative.
template <typename Array>
Array TakeColumn(Napi::Value value, const char* name, napi_typedarray_type type, int64_t count = -1) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    ThrowType(value.Env(), std::string(name) + " is no array of the right type");
  }
  const Array array = value.As<Array>();
  if (count >= 0 && array.ElementLength() != static_cast<size_t>(count)) {
    ThrowRange(value.Env(), std::string(name) + " has another length than its neighbours");
  }
  return array;
}

// An Int32Array, copied; -1 stands for a file that cannot be read.
inline std::vector<int> TakeDescriptors(Napi::Value value) {
  const auto array = TakeColumn<Napi::Int32Array>(value, "fds", napi_int32_array);
  return std::vector<int>(array.Data(), array.Data() + array.ElementLength());
}

// Paths joined by NUL; whether each is safe is for the job to say, item by item.
inline std::vector<std::string> TakePaths(Napi::Value packed, Napi::Value count, const char* name) {
  const uint64_t wanted = TakeInteger(count, "pathCount", 0, UINT32_MAX);
  std::vector<std::string> paths;
  if (!pages::UnpackPaths(TakeText(packed, name), wanted, &paths)) {
    ThrowRange(packed.Env(), std::string(name) + " does not hold " + std::to_string(wanted) + " paths");
  }
  return paths;
}

// As TakePaths; every path must be safe or the root.
inline std::vector<std::string> TakeSafePaths(Napi::Value packed, Napi::Value count, const char* name) {
  std::vector<std::string> paths = TakePaths(packed, count, name);
  for (const std::string& path : paths) {
    if (!path.empty() && !pages::IsSafePath(path)) {
      ThrowRange(packed.Env(), std::string(name) + " must be relative paths without '.' and '..'");
    }
  }
  return paths;
}

// What is large is not deleted on the event loop.
template <typename Container>
void Drop(Container* owner, size_t length) {
  if (length >= kPooledFrom) {
    try {
      PoolSubmit([owner] { delete owner; });
      return;
    } catch (const std::exception&) {
      // No room for the task.
    }
  }
  delete owner;
}

// A Buffer with the bytes of a string or vector. Large ones are handed over without a copy.
template <typename Container>
Napi::Value MoveToBuffer(Napi::Env env, Container&& from) {
  constexpr size_t kExternalFrom = 65536;
  const size_t length = from.size();
  if (length < kExternalFrom) {
    return CopyToBuffer(env, reinterpret_cast<const uint8_t*>(from.data()), length);
  }
  auto* owner = new std::decay_t<Container>(std::forward<Container>(from));
  Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(length));
  return Napi::Buffer<uint8_t>::NewOrCopy(
      env, reinterpret_cast<uint8_t*>(owner->data()), length, [owner, length](Napi::Env finalizer_env, uint8_t*) {
        Drop(owner, length);
        Napi::MemoryManagement::AdjustExternalMemory(finalizer_env, -static_cast<int64_t>(length));
      });
}

// Registered by read_files.cc, file_scan.cc and stat_index.cc.
void RegisterStatIndex(Napi::Env env, Napi::Object exports);
void RegisterReadFiles(Napi::Env env, Napi::Object exports);
void RegisterFileScan(Napi::Env env, Napi::Object exports);

}  // namespace dk
