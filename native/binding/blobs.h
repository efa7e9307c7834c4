// What encoding and decoding of blob batches share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "binding/args.h"
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
  zstd::Span At(size_t i) const { return {bytes_.data + starts_[i], lengths_[i]}; }

 private:
  Bytes bytes_;
  std::vector<uint32_t> lengths_;
  std::vector<uint64_t> starts_;
};

}  // namespace dk
