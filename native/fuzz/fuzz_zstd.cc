// libFuzzer harness of the zstd face: the rest is a frame; the source is nothing, its prefix or its dictionary.
#include "fuzz/fuzz_input.h"
#include "zstd/zstd_face.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  using dk::ByteSpan;
  using dk::Status;
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  const ByteSpan frame = dk::fuzz::SpanOf(input.rest);
  const ByteSpan source = dk::fuzz::SpanOf(input.source);
  uint64_t declared = 0;
  if (dk::zstd::ContentSize(frame, &declared) && declared < 1 << 18) input.target_length = declared;
  std::vector<uint8_t> target(input.target_length);
  const ByteSpan context = input.mode % 3 == 1 ? source : ByteSpan{};
  const ByteSpan dictionary = input.mode % 3 == 2 ? source : ByteSpan{};
  const Status status = dk::zstd::Decompress(frame, context, dictionary, target.data(), target.size());
  dk::fuzz::Check(status == Status::kOk || status == Status::kCorrupt);
  // A block after the other it comes out the same.
  std::vector<uint8_t> parts;
  const Status streamed = dk::zstd::Stream(frame, target.size(), [&parts](ByteSpan bytes) {
    parts.insert(parts.end(), bytes.data, bytes.data + bytes.length);
    return true;
  });
  dk::fuzz::Check(parts.size() <= target.size());
  if (input.mode % 3 == 0 && streamed == Status::kOk) dk::fuzz::Check(status == Status::kOk && parts == target);
  if (input.mode % 3 == 0 && status == Status::kOk && declared == target.size() && declared > 0) {
    dk::fuzz::Check(streamed == Status::kOk);
  }
  dk::zstd::LooksLikeDictionary(source);
  return 0;
}
