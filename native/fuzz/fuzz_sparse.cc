// libFuzzer harness of `sparse` payloads. The rest is taken as a payload, which must be applied or refused, and as a
// target, which must come back, with the same payload from every vector level. Every level makes the same of a payload.
#include <cstring>

#include "fuzz/fuzz_input.h"
#include "sparse/sparse.h"

namespace {

using dk::Status;
using dk::fuzz::Check;
using dk::fuzz::SpanOf;

void Decode(const dk::fuzz::Input& input) {
  std::vector<uint8_t> target(input.target_length);
  dk::sparse::Digested digested;
  const Status status =
      dk::sparse::Patch(SpanOf(input.source), SpanOf(input.rest), target.data(), target.size(), {}, &digested);
  Check(status == Status::kOk || status == Status::kCorrupt);
  std::vector<uint8_t> plain(input.target_length);
  dk::sparse::Digested other;
  Check(dk::sparse::Patch(SpanOf(input.source), SpanOf(input.rest), plain.data(), plain.size(), {}, &other, SIZE_MAX,
                          dk::Simd::kPortable) == status);
  Check(status != Status::kOk || plain == target);
}

void RoundTrip(const dk::fuzz::Input& input) {
  dk::sparse::Options options;
  std::vector<uint8_t> payload, plain;
  dk::sparse::Digested digested, alone;
  digested.kind = alone.kind = dk::sparse::DigestKind::kXxh3;
  Check(dk::sparse::Diff(SpanOf(input.source), SpanOf(input.rest), options, &payload, {}, &digested) == Status::kOk);
  dk::sparse::Digest(SpanOf(input.rest), &alone);
  Check(memcmp(digested.digest, alone.digest, sizeof alone.digest) == 0 && digested.groups == alone.groups);
  options.simd = dk::Simd::kPortable;
  Check(dk::sparse::Diff(SpanOf(input.source), SpanOf(input.rest), options, &plain) == Status::kOk);
  Check(plain == payload);
  std::vector<uint8_t> made(input.rest.size());
  Check(dk::sparse::Patch(SpanOf(input.source), SpanOf(payload), made.data(), made.size()) == Status::kOk);
  Check(made == input.rest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  Decode(input);
  RoundTrip(input);
  return 0;
}
