// The tree work uses upstream's internal header. What must hold: a subtree of
// 2^k chunks at a multiple of its length has a chaining value that depends on
// nothing else, and the stack of the hasher is merged lazily, since the last
// merge of all carries the root flag and only Finish knows which one that is.
#include "blake3/blake3_face.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/thread_pool.h"

extern "C" {
#include "blake3/vendor/blake3_impl.h"
}

namespace dk::blake3 {
namespace {

constexpr size_t kChunksPerGroup = kGroupBytes / BLAKE3_CHUNK_LEN;
constexpr size_t kParallelFrom = 1 << 20;
// Groups per step of the parallel loop: long enough to make its bookkeeping vanish.
constexpr size_t kGroupsPerStep = 4;
// Groups whose values are held at a time.
constexpr size_t kGroupsPerRound = 1024;

// Replaces two neighbours on the stack by their parent until there is one entry per one-bit of the chunk count.
void MergeStack(blake3_hasher* state) {
  const size_t wanted = static_cast<size_t>(__builtin_popcountll(state->chunk.chunk_counter));
  while (state->cv_stack_len > wanted) {
    uint8_t* pair = state->cv_stack + (state->cv_stack_len - 2) * size_t{BLAKE3_OUT_LEN};
    uint32_t words[8];
    memcpy(words, state->key, sizeof words);
    blake3_compress_in_place(words, pair, BLAKE3_BLOCK_LEN, 0, PARENT);
    store_cv_words(pair, words);
    --state->cv_stack_len;
  }
}

bool AtGroupBoundary(const blake3_hasher& state) {
  return state.chunk.buf_len == 0 && state.chunk.blocks_compressed == 0 &&
         state.chunk.chunk_counter % kChunksPerGroup == 0;
}

void PushValue(blake3_hasher* state, const uint8_t value[kDigestBytes]) {
  MergeStack(state);
  memcpy(state->cv_stack + state->cv_stack_len * size_t{BLAKE3_OUT_LEN}, value, BLAKE3_OUT_LEN);
  ++state->cv_stack_len;
  state->chunk.chunk_counter += kChunksPerGroup;
}

}  // namespace

void GroupValue(const uint8_t data[kGroupBytes], uint64_t group_index, uint8_t out[kDigestBytes]) {
  uint8_t values[MAX_SIMD_DEGREE_OR_2 * BLAKE3_OUT_LEN];
  size_t count = blake3_compress_subtree_wide(data, kGroupBytes, IV, group_index * kChunksPerGroup, 0, values, false);
  // The wide call stops at as many values as the processor hashes at once (a power of two).
  while (count > 1) {
    const uint8_t* pairs[MAX_SIMD_DEGREE_OR_2];
    for (size_t i = 0; i < count / 2; ++i) pairs[i] = values + i * BLAKE3_BLOCK_LEN;
    uint8_t parents[MAX_SIMD_DEGREE_OR_2 * BLAKE3_OUT_LEN];
    blake3_hash_many(pairs, count / 2, 1, IV, 0, false, PARENT, 0, 0, parents);
    count /= 2;
    memcpy(values, parents, count * BLAKE3_OUT_LEN);
  }
  memcpy(out, values, kDigestBytes);
}

void Hash(const uint8_t* data, size_t length, uint8_t out[kDigestBytes]) {
  blake3_hasher state;
  blake3_hasher_init(&state);
  blake3_hasher_update(&state, data, length);
  blake3_hasher_finalize(&state, out, kDigestBytes);
}

void HashParallel(const uint8_t* data, size_t length, uint8_t out[kDigestBytes]) {
  Hasher hasher;
  hasher.UpdateParallel(data, length);
  hasher.Finish(out);
}

bool RootFromGroups(const uint8_t* values, size_t count, const uint8_t* tail, size_t tail_length,
                    uint8_t out[kDigestBytes]) {
  Hasher hasher;
  for (size_t i = 0; i < count; ++i) hasher.PushGroup(values + i * kDigestBytes);
  hasher.Update(tail, tail_length);
  return hasher.Finish(out);
}

void Hasher::Reset() { blake3_hasher_init(&state_); }

void Hasher::Update(const uint8_t* data, size_t length) {
  if (length > 0) blake3_hasher_update(&state_, data, length);
}

void Hasher::UpdateParallel(const uint8_t* data, size_t length) {
  if (length < kParallelFrom || !AtGroupBoundary(state_)) return Update(data, length);
  // The last group goes the ordinary way: it may turn out to be the root.
  size_t groups = (length - 1) / kGroupBytes;
  std::vector<uint8_t> values(std::min(groups, kGroupsPerRound) * kDigestBytes);
  while (groups > 0) {
    const size_t round = std::min(groups, kGroupsPerRound);
    const uint64_t first = state_.chunk.chunk_counter / kChunksPerGroup;
    ParallelFor((round + kGroupsPerStep - 1) / kGroupsPerStep, [&](size_t step) {
      const size_t end = std::min((step + 1) * kGroupsPerStep, round);
      for (size_t i = step * kGroupsPerStep; i < end; ++i) {
        GroupValue(data + i * kGroupBytes, first + i, values.data() + i * kDigestBytes);
      }
    });
    for (size_t i = 0; i < round; ++i) PushValue(&state_, values.data() + i * kDigestBytes);
    data += round * kGroupBytes;
    length -= round * kGroupBytes;
    groups -= round;
  }
  Update(data, length);
}

bool Hasher::PushGroup(const uint8_t value[kDigestBytes]) {
  if (!AtGroupBoundary(state_)) return false;
  PushValue(&state_, value);
  return true;
}

bool Hasher::Finish(uint8_t out[kDigestBytes]) const {
  const bool lone_value = state_.cv_stack_len == 1 && state_.chunk.buf_len == 0 && state_.chunk.blocks_compressed == 0;
  if (lone_value) return false;
  blake3_hasher_finalize(&state_, out, kDigestBytes);
  return true;
}

const char* Version() { return blake3_version(); }

}  // namespace dk::blake3
