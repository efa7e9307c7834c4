// libFuzzer harness of the `tensor` engine; no part of the addon. `node scripts/fuzz-planes.mjs` builds and runs it.
//
// Input: mode u8, source length u16, target length u16 (little-endian), the source, the rest.
//   mode even    the rest is a payload: decoding must end well or be refused, and alike at every vector level
//   mode odd     the rest is a target, its first bytes say where elements are: it must come back, and the plain kernels
//                give the same payload
#include <cstdlib>
#include <cstring>

#include "planes/planes.h"

namespace {

using dk::ByteSpan;
using dk::Simd;
using dk::Status;
using Bytes = std::vector<uint8_t>;

constexpr size_t kHeadBytes = 5;
constexpr size_t kRegionBytes = 6;

void Check(bool good) {
  if (!good) abort();
}

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
  if (length < kHeadBytes) return 0;
  const size_t source_length = data[1] | data[2] << 8;
  const size_t target_length = data[3] | data[4] << 8;
  const size_t rest = length - kHeadBytes;
  if (source_length > rest) return 0;
  // In memory of its own, so that a step beyond it is seen.
  const Bytes source(data + kHeadBytes, data + kHeadBytes + source_length);
  const Bytes tail(data + kHeadBytes + source_length, data + length);
  const ByteSpan from = {source.data(), source.size()};
  const ByteSpan other = {tail.data(), tail.size()};
  if (data[0] % 2 == 0) {
    Decode(from, other, target_length);
  } else {
    RoundTrip(from, other, data[0] / 2);
  }
  return 0;
}
