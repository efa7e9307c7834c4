// libFuzzer harness of chains in a pack. The rest is the piece of the pack, the target length that of its last record.
// Mode odd: everything in it that begins like a record gets the checksum that makes it one.
#include "chain/record_chain.h"
#include "fuzz/fuzz_input.h"
#include "xxhash/xxhash_face.h"

namespace {

uint32_t Word(const uint8_t* from) {
  return static_cast<uint32_t>(from[0]) | static_cast<uint32_t>(from[1]) << 8 | static_cast<uint32_t>(from[2]) << 16 |
         static_cast<uint32_t>(from[3]) << 24;
}

void Sign(std::vector<uint8_t>* bytes) {
  for (size_t at = 0; at + 60 <= bytes->size(); ++at) {
    uint8_t* head = bytes->data() + at;
    if (Word(head) != 0x31524b44) continue;
    const uint64_t end = uint64_t{52} + Word(head + 8) + Word(head + 16);
    if (at + end + 8 > bytes->size()) continue;
    const uint64_t check = dk::xxhash::Hash64(head, static_cast<size_t>(end));
    for (int i = 0; i < 8; ++i) head[end + i] = static_cast<uint8_t>(check >> 8 * i);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  std::vector<uint8_t>& bytes = input.rest;
  if (input.mode % 2 == 1) Sign(&bytes);
  const size_t record = input.target_length;
  uint8_t digest[dk::chain::kDigestBytes] = {};
  if (record >= 52 && record <= bytes.size()) memcpy(digest, bytes.data() + bytes.size() - record + 20, sizeof digest);
  std::vector<dk::chain::Link> links;
  if (!dk::chain::FindChain(dk::fuzz::SpanOf(bytes), record, digest, &links)) return 0;
  const uint8_t* end = bytes.data() + bytes.size();
  for (size_t i = 0; i < links.size(); ++i) {
    dk::fuzz::Check(links[i].context_list.data >= bytes.data());
    dk::fuzz::Check(links[i].payload.data + links[i].payload.length <= end);
    dk::fuzz::Check(links[i].decoded <= dk::chain::kLinkBytesMax);
    dk::fuzz::Check(i == 0 || links[i].depth < links[i - 1].depth);
    dk::fuzz::Check((links[i].context_list.length == 0) == (i + 1 == links.size()));
    // Every one stands before what names it.
    end = links[i].context_list.data;
  }
  return 0;
}
