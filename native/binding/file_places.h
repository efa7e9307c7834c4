// Places of records in open files, as they cross: triples (number of the file, first byte, bytes) and a digest for
// each.
#pragma once

#include <cmath>
#include <vector>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/digest_by.h"
#include "chain/chain_forest.h"

namespace dk {

constexpr double kPlaceEndMax = 4503599627370496.0;  // 2^52
// LIMITS.payloadBytes and LIMITS.contextListBytes of src/core/limits.ts fit in it.
constexpr double kPlaceBytesMax = 2u << 20;

// Everything is copied: what was checked and sorted is what is used.
struct Places {
  std::vector<chain::FileRecord> records;
  std::vector<uint8_t> digests;
};

inline Places TakePlaces(Napi::Value value, Napi::Value digests, size_t files) {
  const Napi::Env env = value.Env();
  const auto array = TakeColumn<Napi::Float64Array>(value, "places", napi_float64_array);
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
