// Places of records in open files, as they cross: triples (number of the file, first byte, bytes) and a digest for
// each.
#pragma once

#include <cmath>
#include <vector>

#include "binding/args.h"
#include "binding/digest_by.h"
#include "chain/chain_forest.h"

namespace dk {

constexpr double kPlaceEndMax = 4503599627370496.0;  // 2^52
// LIMITS.payloadBytes and LIMITS.contextListBytes of src/core/limits.ts fit in it.
constexpr double kPlaceBytesMax = 2u << 20;

// An Int32Array; -1 stands for a file that cannot be read.
inline std::vector<int> TakeDescriptors(Napi::Value value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    ThrowType(value.Env(), "fds must be an Int32Array");
  }
  const auto array = value.As<Napi::Int32Array>();
  return std::vector<int>(array.Data(), array.Data() + array.ElementLength());
}

// Everything is copied: what was checked and sorted is what is used.
struct Places {
  std::vector<chain::FileRecord> records;
  std::vector<uint8_t> digests;
};

inline Places TakePlaces(Napi::Value value, Napi::Value digests, size_t files) {
  const Napi::Env env = value.Env();
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    ThrowType(env, "places must be a Float64Array");
  }
  const auto array = value.As<Napi::Float64Array>();
  const Bytes names = TakeBytes(digests, "digests");
  const size_t count = array.ElementLength() / 3;
  if (array.ElementLength() != 3 * count || names.length != count * kDigestBytes) {
    ThrowRange(env, "places must be triples, each with a digest");
  }
  Places places;
  places.digests.assign(names.data, names.data + names.length);
  for (size_t i = 0; i < count; ++i) {
    const double file = array[3 * i];
    const double offset = array[3 * i + 1];
    const double bytes = array[3 * i + 2];
    const bool whole = file == std::floor(file) && offset == std::floor(offset) && bytes == std::floor(bytes);
    if (!whole || !(file >= 0 && file < static_cast<double>(files)) || !(offset >= 0 && offset <= kPlaceEndMax) ||
        !(bytes >= 1 && bytes <= kPlaceBytesMax)) {
      ThrowRange(env, "a record stands nowhere");
    }
    places.records.push_back({static_cast<uint32_t>(file), static_cast<uint64_t>(offset), static_cast<uint64_t>(bytes),
                              places.digests.data() + i * kDigestBytes});
  }
  return places;
}

}  // namespace dk
