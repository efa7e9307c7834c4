// BLAKE3 with 32-byte digests, and its tree made visible: the chaining value of
// every full 64 KiB group can be kept, so that after a small change only the
// changed groups are hashed again and the result is still plain BLAKE3.
#pragma once

#include <cstddef>
#include <cstdint>

#include "blake3/vendor/blake3.h"

namespace dk::blake3 {

constexpr size_t kDigestBytes = 32;
// A power of two of 1 KiB chunks, hence a complete subtree at any multiple of itself.
constexpr size_t kGroupBytes = 65536;

// Digest on the calling thread.
void Hash(const uint8_t* data, size_t length, uint8_t out[kDigestBytes]);

// Digest on the pool when the data is 1 MiB or more. May be called from a pool thread.
void HashParallel(const uint8_t* data, size_t length, uint8_t out[kDigestBytes]);

// Chaining value of one full group. `group_index` counts groups from the start
// of the whole input (byte offset / 65536).
void GroupValue(const uint8_t data[kGroupBytes], uint64_t group_index, uint8_t out[kDigestBytes]);

// Digest of a whole input from the chaining values of its groups 0 .. count-1
// and the `tail_length` bytes behind them (0 .. 65536; exactly 65536 is allowed).
// Equal to Hash() of everything. False, with nothing written, for the one case
// that a chaining value cannot answer: a single group without a tail. An input
// of exactly 64 KiB must therefore come as count 0 and a tail of 65536 bytes.
bool RootFromGroups(const uint8_t* values, size_t count, const uint8_t* tail, size_t tail_length,
                    uint8_t out[kDigestBytes]);

// Incremental hashing. Not for several threads at once; copyable.
class Hasher {
 public:
  Hasher() { Reset(); }
  void Reset();
  void Update(const uint8_t* data, size_t length);
  // Same result; spreads over the pool. Fast when every call but the last brings a multiple of 64 KiB.
  void UpdateParallel(const uint8_t* data, size_t length);
  // Appends a full group by its value. Only while the length so far is a multiple of 64 KiB (returns false else).
  bool PushGroup(const uint8_t value[kDigestBytes]);
  // False in the one case described at RootFromGroups. May be followed by more updates.
  bool Finish(uint8_t out[kDigestBytes]) const;

 private:
  blake3_hasher state_;
};

const char* Version();

}  // namespace dk::blake3
