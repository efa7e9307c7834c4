// libFuzzer harness of `sparse` for states of several groups of 64 KiB, which no input is long enough for: what
// compares, gathers and hashes whole groups in one pass is not reached below. The input says how a state is filled and
// what is changed in it. Every pair must come back, with the digest of its target, and every vector level must make the
// same of it; a payload with a changed byte must be applied alike at every level or refused.
//
// The source of the input is the pattern that the states are filled with. Of the rest each five bytes are a change:
// kind u8, place u16 (times four), count u8, value u8.
#include <algorithm>
#include <cstring>

#include "fuzz/fuzz_input.h"
#include "sparse/sparse.h"

namespace {

using dk::ByteSpan;
using dk::Simd;
using dk::Status;
using dk::fuzz::Check;
using dk::fuzz::SpanOf;
using dk::sparse::Digested;
using dk::sparse::DigestKind;

constexpr size_t kGroup = size_t{64} << 10;
constexpr size_t kChangeBytes = 5;
constexpr size_t kPlaceStep = 4;
constexpr size_t kChangesMax = 64;
constexpr Simd kLevels[] = {Simd::kAvx512, Simd::kAvx2, Simd::kSse2, Simd::kPortable};

using Bytes = std::vector<uint8_t>;

// Filled with the pattern again and again, or with noise that starts from it.
Bytes Filled(const Bytes& pattern, size_t length, bool noise) {
  Bytes bytes(length);
  if (noise) {
    uint64_t seed = 0x9e3779b97f4a7c15;
    for (const uint8_t byte : pattern) seed = (seed ^ byte) * 0x100000001b3;
    for (uint8_t& byte : bytes) {
      seed = seed * 6364136223846793005 + 1442695040888963407;
      byte = static_cast<uint8_t>(seed >> 56);
    }
  } else if (!pattern.empty()) {
    for (size_t i = 0; i < length; ++i) bytes[i] = pattern[i % pattern.size()];
  }
  return bytes;
}

// One change of the target: bytes in a row, at a distance, or all over a stretch, by a value or to it.
void Change(const uint8_t* at, Bytes* target) {
  const unsigned kind = at[0];
  const size_t place = (at[1] | size_t{at[2]} << 8) * kPlaceStep + kind % kPlaceStep;
  const size_t count = (size_t{at[3]} + 1) << (kind & 8 ? 6 : 0);
  const uint8_t value = at[4];
  const size_t step = kind & 16 ? 1 + (kind >> 5) * 37 : 1;
  for (size_t i = 0; i < count; ++i) {
    const size_t to = place + i * step;
    if (to >= target->size()) return;
    const auto by = static_cast<uint8_t>(kind & 4 ? value + i : value);
    (*target)[to] = kind & 64 ? by : static_cast<uint8_t>((*target)[to] ^ by);
  }
}

struct Pair {
  Bytes source;
  Bytes target;
};

Pair PairOf(const dk::fuzz::Input& input) {
  const unsigned mode = input.mode;
  const size_t tail = input.target_length;
  const size_t target_length = (mode & 3) * kGroup + (mode & 16 ? tail : 0);
  const size_t source_length = mode & 32 ? ((mode >> 2) & 3) * kGroup + tail / 3 : target_length;
  Pair pair;
  pair.source = Filled(input.source, source_length, mode & 64);
  pair.target = pair.source;
  pair.target.resize(target_length);
  const size_t changes = std::min(input.rest.size() / kChangeBytes, kChangesMax);
  for (size_t i = 0; i < changes; ++i) Change(input.rest.data() + i * kChangeBytes, &pair.target);
  return pair;
}

bool SameDigest(const Digested& one, const Digested& other) {
  return memcmp(one.digest, other.digest, dk::sparse::DigestBytes(one.kind)) == 0 && one.groups == other.groups;
}

Digested DigestOf(const Bytes& bytes, DigestKind kind) {
  Digested digested;
  digested.kind = kind;
  dk::sparse::Digest(SpanOf(bytes), &digested);
  return digested;
}

// The payload, the same from every level, with the digest of the target, whether the source's groups are known or not.
Bytes PayloadOf(const Pair& pair, const Digested& known, const Digested& wanted) {
  Bytes payload;
  for (const Simd level : kLevels) {
    dk::sparse::Options options;
    options.simd = level;
    for (const ByteSpan groups : {ByteSpan{}, SpanOf(known.groups)}) {
      Bytes made;
      Digested digested;
      digested.kind = wanted.kind;
      const Status status =
          dk::sparse::Diff(SpanOf(pair.source), SpanOf(pair.target), options, &made, groups, &digested);
      Check(status == Status::kOk && SameDigest(digested, wanted));
      if (payload.empty()) payload = made;
      Check(made == payload);
    }
  }
  return payload;
}

// What every level makes of a payload; empty when they refuse it.
Bytes Patched(const Pair& pair, const Bytes& payload, const Digested& known) {
  Bytes first;
  Status expected = Status::kOk;
  for (const Simd level : kLevels) {
    Bytes made(pair.target.size(), 0x5a);
    Digested digested;
    digested.kind = known.kind;
    const Status status = dk::sparse::Patch(SpanOf(pair.source), SpanOf(payload), made.data(), made.size(),
                                            SpanOf(known.groups), &digested, SIZE_MAX, level);
    if (level == kLevels[0]) {
      expected = status;
      first = made;
    }
    Check(status == expected && (status == Status::kOk || status == Status::kCorrupt));
    if (status != Status::kOk) continue;
    Check(made == first && SameDigest(digested, DigestOf(made, known.kind)));
  }
  return expected == Status::kOk ? first : Bytes();
}

// Limits of what may differ decline the same work in both directions.
void CheckLimit(const Pair& pair, const Bytes& payload, size_t changed_max) {
  dk::sparse::Options options;
  options.changed_max = changed_max;
  Bytes limited;
  const Status coded = dk::sparse::Diff(SpanOf(pair.source), SpanOf(pair.target), options, &limited);
  Check(coded == Status::kDeclined || (coded == Status::kOk && limited == payload));
  Bytes made(pair.target.size());
  const Status status =
      dk::sparse::Patch(SpanOf(pair.source), SpanOf(payload), made.data(), made.size(), {}, nullptr, changed_max);
  Check(status == Status::kDeclined || (status == Status::kOk && made == pair.target));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  const Pair pair = PairOf(input);
  const DigestKind kind = input.mode & 128 ? DigestKind::kBlake3 : DigestKind::kXxh3;
  const Digested known = DigestOf(pair.source, kind);
  Bytes payload = PayloadOf(pair, known, DigestOf(pair.target, kind));
  Check(Patched(pair, payload, known) == pair.target);
  CheckLimit(pair, payload, input.target_length);
  if (payload.empty()) return 0;
  payload[input.target_length % payload.size()] ^= static_cast<uint8_t>(1 + input.mode);
  Patched(pair, payload, known);
  return 0;
}
