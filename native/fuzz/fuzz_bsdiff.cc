// libFuzzer harness of BSDIFF40 patches. Mode even: the rest is the file. Odd: the rest is u16 control length, u16
// difference length and the three streams as they are, which are compressed here, so that the fuzzer reaches what
// stands behind bzip2's checksums.
#include <cstring>

#include "bsdiff/bsdiff.h"
#include "bzip2/bzip2_face.h"
#include "fuzz/fuzz_input.h"

namespace {

using dk::Status;
using Bytes = std::vector<uint8_t>;

constexpr uint64_t kTargetBytesMax = 1 << 16;

void PutNumber(uint64_t value, uint8_t* out) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

Bytes Wrapped(const Bytes& rest, size_t target_length) {
  if (rest.size() < 4) return rest;
  const size_t control = std::min<size_t>(rest[0] | rest[1] << 8, rest.size() - 4);
  const size_t difference = std::min<size_t>(rest[2] | rest[3] << 8, rest.size() - 4 - control);
  const size_t begins[] = {4, 4 + control, 4 + control + difference, rest.size()};
  Bytes file(32), parts[3];
  memcpy(file.data(), "BSDIFF40", 8);
  for (int i = 0; i < 3; ++i) {
    const Status status = dk::bzip2::Compress(rest.data() + begins[i], begins[i + 1] - begins[i], {}, &parts[i]);
    dk::fuzz::Check(status == Status::kOk);
    file.insert(file.end(), parts[i].begin(), parts[i].end());
  }
  PutNumber(parts[0].size(), file.data() + 8);
  PutNumber(parts[1].size(), file.data() + 16);
  PutNumber(target_length, file.data() + 24);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  const Bytes file = input.mode % 2 == 0 ? input.rest : Wrapped(input.rest, input.target_length);
  uint64_t made = 0;
  const Status known = dk::bsdiff::TargetLength(dk::fuzz::SpanOf(file), &made);
  dk::fuzz::Check(known == Status::kOk || known == Status::kCorrupt);
  if (known != Status::kOk || made > kTargetBytesMax) return 0;
  Bytes target(made);
  const Status status =
      dk::bsdiff::Patch(dk::fuzz::SpanOf(input.source), dk::fuzz::SpanOf(file), target.data(), target.size());
  dk::fuzz::Check(status == Status::kOk || status == Status::kCorrupt);
  return 0;
}
