// libFuzzer harness of the bzip2 face. Mode even: the rest is a stream, read in pieces of 1 to 256 bytes. Odd: the rest
// is compressed and must come back.
#include "bzip2/bzip2_face.h"
#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  using dk::Status;
  constexpr size_t kReadBytesMax = 1 << 20;
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  std::vector<uint8_t> stream = input.rest;
  if (input.mode % 2 == 1) {
    dk::fuzz::Check(dk::bzip2::Compress(input.rest.data(), input.rest.size(), {}, &stream) == Status::kOk);
    stream.shrink_to_fit();
  }
  dk::bzip2::Decoder decoder(stream.data(), stream.size());
  const size_t piece = 1 + input.mode;
  std::vector<uint8_t> made;
  bool sound = true;
  for (size_t got = piece; sound && got == piece && made.size() < kReadBytesMax;) {
    std::vector<uint8_t> part(piece);
    sound = decoder.ReadSome(part.data(), part.size(), &got);
    if (sound) made.insert(made.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(got));
  }
  const bool ended = sound && decoder.AtEnd();
  if (input.mode % 2 == 1 && input.rest.size() < kReadBytesMax) dk::fuzz::Check(ended && made == input.rest);
  return 0;
}
