// libFuzzer harness of the `align` engine; no part of the addon. `node scripts/fuzz-align.mjs` builds and runs it.
//
// Input: mode u8, source length u16, target length u16 (little-endian), the source, the rest.
//   decoder (default)        the rest is a payload: decoding must end well or be refused, whatever it says
//   encoder (DK_FUZZ_TRIP)   the rest is a target: it must come back, and the plain kernels give the same payload
#include <cstdlib>
#include <cstring>

#include "align/align.h"

namespace {

using dk::Simd;
using dk::Status;
using dk::zstd::Span;

constexpr size_t kHeadBytes = 5;

[[maybe_unused]] void Decode(Span source, Span payload, size_t target_length) {
  std::vector<uint8_t> target(target_length);
  const Status status = dk::align::Patch(source, payload, target.data(), target.size());
  if (status != Status::kOk && status != Status::kCorrupt) abort();
}

[[maybe_unused]] void RoundTrip(Span source, Span target, unsigned effort) {
  dk::align::Options options;
  options.effort = static_cast<dk::align::Effort>(effort % 3);
  std::vector<uint8_t> payload, plain;
  if (dk::align::Diff(source, target, options, &payload) != Status::kOk) abort();
  options.simd = Simd::kPortable;
  if (dk::align::Diff(source, target, options, &plain) != Status::kOk || plain != payload) abort();
  std::vector<uint8_t> made(target.length);
  if (dk::align::Patch(source, {payload.data(), payload.size()}, made.data(), made.size()) != Status::kOk) abort();
  if (target.length > 0 && memcmp(made.data(), target.data, target.length) != 0) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  if (length < kHeadBytes) return 0;
  const size_t source_length = data[1] | data[2] << 8;
  const size_t target_length = data[3] | data[4] << 8;
  const size_t rest = length - kHeadBytes;
  if (source_length > rest) return 0;
  // In memory of its own, so that a step beyond it is seen.
  const std::vector<uint8_t> source(data + kHeadBytes, data + kHeadBytes + source_length);
  const std::vector<uint8_t> tail(data + kHeadBytes + source_length, data + length);
  const Span from = {source.data(), source.size()};
#ifndef DK_FUZZ_TRIP
  Decode(from, {tail.data(), tail.size()}, target_length);
#else
  // Repeated until windows are used instead of the small form.
  std::vector<uint8_t> target;
  const size_t wanted = target_length < 256 && !tail.empty() ? (size_t{66} << 10) : 0;
  do target.insert(target.end(), tail.begin(), tail.end());
  while (target.size() < wanted);
  RoundTrip(from, {target.data(), target.size()}, data[0]);
#endif
  return 0;
}
