// libFuzzer harness of the `sparse` engine; no part of the addon. `node scripts/fuzz-sparse.mjs` builds and runs it.
//
// Input: source length u16, target length u16 (little-endian), the source, the rest. The rest is taken as a payload,
// which must be applied or refused, and as a target, which must come back from every vector level alike.
#include <cstdlib>
#include <cstring>

#include "sparse/sparse.h"

namespace {

using dk::ByteSpan;
using dk::Status;

void Decode(ByteSpan source, ByteSpan payload, size_t target_length) {
  std::vector<uint8_t> target(target_length);
  dk::sparse::Digested digested;
  const Status status = dk::sparse::Patch(source, payload, target.data(), target.size(), {}, &digested);
  if (status != Status::kOk && status != Status::kCorrupt) abort();
}

void RoundTrip(ByteSpan source, ByteSpan target) {
  dk::sparse::Options options;
  std::vector<uint8_t> payload, plain;
  if (dk::sparse::Diff(source, target, options, &payload) != Status::kOk) abort();
  options.simd = dk::Simd::kPortable;
  if (dk::sparse::Diff(source, target, options, &plain) != Status::kOk || plain != payload) abort();
  std::vector<uint8_t> made(target.length);
  if (dk::sparse::Patch(source, {payload.data(), payload.size()}, made.data(), made.size()) != Status::kOk) abort();
  if (target.length > 0 && memcmp(made.data(), target.data, target.length) != 0) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  if (length < 4) return 0;
  const size_t source_length = data[0] | data[1] << 8;
  const size_t target_length = data[2] | data[3] << 8;
  if (source_length > length - 4) return 0;
  // In memory of its own, so that a step beyond it is seen.
  const std::vector<uint8_t> source(data + 4, data + 4 + source_length);
  const std::vector<uint8_t> rest(data + 4 + source_length, data + length);
  Decode({source.data(), source.size()}, {rest.data(), rest.size()}, target_length);
  RoundTrip({source.data(), source.size()}, {rest.data(), rest.size()});
  return 0;
}
