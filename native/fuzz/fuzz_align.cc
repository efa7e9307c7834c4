// libFuzzer harness of the `align` engine.
//   decoder (default)        the rest is a payload: decoding must end well or be refused, whatever it says
//   encoder (DK_FUZZ_TRIP)   the rest is a target: it must come back, and the plain kernels give the same payload
#include <cstdlib>
#include <cstring>

#include "align/align.h"
#include "fuzz/fuzz_input.h"

namespace {

using dk::Simd;
using dk::Status;
using dk::zstd::Span;

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
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  const Span from = dk::fuzz::SpanOf(input.source);
#ifndef DK_FUZZ_TRIP
  Decode(from, dk::fuzz::SpanOf(input.rest), input.target_length);
#else
  // Repeated until windows are used instead of the small form.
  std::vector<uint8_t> target;
  const size_t wanted = input.target_length < 256 && !input.rest.empty() ? (size_t{66} << 10) : 0;
  do target.insert(target.end(), input.rest.begin(), input.rest.end());
  while (target.size() < wanted);
  RoundTrip(from, dk::fuzz::SpanOf(target), input.mode);
#endif
  return 0;
}
