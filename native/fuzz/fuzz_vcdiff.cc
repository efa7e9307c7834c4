// libFuzzer harness of VCDIFF patches: the rest is the file.
#include "fuzz/fuzz_input.h"
#include "xdelta/vcdiff.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  using dk::Status;
  constexpr uint64_t kTargetBytesMax = 1 << 18;
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  uint64_t made = 0;
  const char* why = nullptr;
  const Status known = dk::vcdiff::TargetLength(dk::fuzz::SpanOf(input.rest), &made, &why);
  dk::fuzz::Check(known == Status::kOk || known == Status::kCorrupt ||
                  (known == Status::kUnsupported && why != nullptr));
  if (known != Status::kOk || made > kTargetBytesMax) return 0;
  std::vector<uint8_t> target(made);
  const Status status =
      dk::vcdiff::Patch(dk::fuzz::SpanOf(input.source), dk::fuzz::SpanOf(input.rest), target.data(), target.size());
  dk::fuzz::Check(status == Status::kOk || status == Status::kCorrupt);
  return 0;
}
