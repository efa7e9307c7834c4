// libFuzzer harness of `xor` payloads. Mode even: the rest is the payload. Odd: the rest is its content, compressed
// here.
#include "fuzz/fuzz_input.h"
#include "xor/xor.h"
#include "zstd/zstd_face.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  using dk::Status;
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  std::vector<uint8_t> payload = input.rest;
  if (input.mode % 2 == 1) {
    payload.resize(dk::zstd::Bound(input.rest.size()));
    size_t written = 0;
    dk::zstd::Settings settings;
    settings.level = 1;
    const Status status =
        dk::zstd::Compress(dk::fuzz::SpanOf(input.rest), settings, payload.data(), payload.size(), &written);
    dk::fuzz::Check(status == Status::kOk);
    payload.resize(written);
    payload.shrink_to_fit();
  }
  std::vector<uint8_t> target(input.target_length);
  const Status status =
      dk::xordelta::Patch(dk::fuzz::SpanOf(input.source), dk::fuzz::SpanOf(payload), target.data(), target.size());
  dk::fuzz::Check(status == Status::kOk || status == Status::kCorrupt);
  return 0;
}
