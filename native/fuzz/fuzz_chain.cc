// libFuzzer harness of chains in a pack. The rest is the piece of the pack, the target length that of its last record.
// Mode odd: everything in it that begins like a record gets the checksum that makes it one. The same piece is followed
// as many chains are, and divided into what is decoded in one go.
#include <map>

#include "chain/chain_forest.h"
#include "chain/chain_walk.h"
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

bool Within(dk::ByteSpan part, const std::vector<uint8_t>& bytes) {
  return part.data >= bytes.data() && part.data + part.length <= bytes.data() + bytes.size();
}

// Every record that is found stands in the piece; every link is in one run, after what it is coded against.
void CheckMany(const std::vector<uint8_t>& bytes, size_t record, const uint8_t* digest) {
  const dk::ByteSpan all{bytes.data(), bytes.size()};
  std::vector<dk::chain::Start> starts;
  if (record <= bytes.size()) starts.push_back({0, bytes.size() - record, record, digest});
  const dk::chain::Walk walk = dk::chain::FollowChains({all}, starts);
  std::vector<const uint8_t*> wanted;
  for (const dk::ByteSpan& found : walk.records) {
    dk::fuzz::Check(Within(found, bytes) && found.length >= 60);
    wanted.push_back(found.data + 20);
  }
  for (const uint8_t* missing : walk.missing) dk::fuzz::Check(Within({missing, 32}, bytes));
  std::vector<dk::chain::FileRecord> files;
  for (const uint8_t* missing : walk.missing) files.push_back({0, 0, 1, missing});
  // What was found in order, and the piece as it is, as if it were nothing but records.
  for (const std::vector<dk::ByteSpan>& memory : {walk.records, std::vector<dk::ByteSpan>{all}}) {
    const dk::chain::Forest forest(memory, files, wanted);
    std::map<uint32_t, size_t> run_of;
    for (size_t i = 0; i < forest.runs().size(); ++i) {
      const dk::chain::Run& run = forest.runs()[i];
      dk::fuzz::Check(!run.nodes.empty() && (run.below == dk::chain::kNone || run.below < i));
      uint32_t below = run.below == dk::chain::kNone ? dk::chain::kNone : forest.runs()[run.below].nodes.back();
      for (const uint32_t node : run.nodes) {
        dk::fuzz::Check(forest.nodes()[node].below == below && run_of.emplace(node, i).second);
        below = node;
      }
    }
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
  CheckMany(bytes, record, digest);
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
