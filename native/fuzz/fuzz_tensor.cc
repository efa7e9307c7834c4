// libFuzzer harness of the `tensor` engine; no part of the addon. `npm run fuzz -- tensor` builds and runs it.
//
//   mode even    the rest is a payload: decoding must end well or be refused, and alike at every vector level
//   mode odd     the rest is a target, its first bytes say where elements are: it must come back, and the plain kernels
//                give the same payload
#include <cstring>

#include "fuzz/fuzz_input.h"
#include "planes/planes.h"

namespace {

using dk::ByteSpan;
using dk::Simd;
using dk::Status;
using dk::fuzz::Check;
using Bytes = std::vector<uint8_t>;

constexpr size_t kRegionBytes = 6;

void Decode(ByteSpan source, ByteSpan payload, size_t target_length) {
  Bytes wide(target_length), plain(target_length);
  const Status status = dk::planes::Patch(source, payload, wide.data(), wide.size(), Simd::kAvx512);
  Check(status == Status::kOk || status == Status::kCorrupt);
  Check(dk::planes::Patch(source, payload, plain.data(), plain.size(), Simd::kPortable) == status);
  Check(status != Status::kOk || plain == wide);
}

// Regions that follow each other: gap, length, width, place in the source (odd: none).
std::vector<dk::planes::Region> TakeRegions(const uint8_t* data, size_t count, size_t target_length) {
  std::vector<dk::planes::Region> regions;
  uint64_t at = 0;
  for (size_t i = 0; i < count; ++i, data += kRegionBytes) {
    at += data[0];
    const uint64_t length = data[1] | (data[2] & 15) << 8;
    if (at > target_length || length > target_length - at) break;
    const unsigned width = 2u << data[3] % 3;
    const uint64_t source = data[4] % 2 == 1 ? dk::planes::Region::kNoSource : data[4] | data[5] << 8;
    regions.push_back({at, length, width, source});
    at += length;
  }
  return regions;
}

void RoundTrip(ByteSpan source, ByteSpan rest, unsigned mode) {
  const size_t count = mode / 8 % 4;
  if (rest.length < count * kRegionBytes) return;
  const ByteSpan target = {rest.data + count * kRegionBytes, rest.length - count * kRegionBytes};
  const auto regions = TakeRegions(rest.data, count, target.length);
  dk::planes::Options options;
  options.effort = static_cast<dk::planes::Effort>(mode / 2 % 3);
  Bytes payload, plain;
  Check(dk::planes::Diff(source, target, regions, options, &payload) == Status::kOk);
  options.simd = Simd::kPortable;
  Check(dk::planes::Diff(source, target, regions, options, &plain) == Status::kOk && plain == payload);
  Bytes made(target.length);
  const ByteSpan whole = {payload.data(), payload.size()};
  Check(dk::planes::Patch(source, whole, made.data(), made.size(), Simd::kAvx512) == Status::kOk);
  Check(target.length == 0 || memcmp(made.data(), target.data, target.length) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  const ByteSpan source = dk::fuzz::SpanOf(input.source);
  const ByteSpan rest = dk::fuzz::SpanOf(input.rest);
  if (input.mode % 2 == 0) {
    Decode(source, rest, input.target_length);
  } else {
    RoundTrip(source, rest, input.mode / 2);
  }
  return 0;
}
