// What has to be decoded for many blobs: their chains as runs of links, each run to be decoded in one go. A run ends at
// a blob that is wanted, or that several others are coded against, so that nothing is decoded twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "chain/record_chain.h"
#include "common/byte_span.h"

namespace dk::chain {

constexpr uint32_t kNone = 0xffffffff;

// A record that has not been read: of a blob that is coded against nothing.
struct FileRecord {
  uint32_t file = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  const uint8_t* digest = nullptr;
};

struct Node {
  // A copy: what is sorted must not change.
  std::array<uint8_t, kDigestBytes> digest{};
  // Number of its file record; kNone for a record in memory, which `link` then tells of.
  uint32_t file_record = kNone;
  Link link;
  // What it is coded against, and how many bytes of that its context list wants: all of them, or the record is wrong.
  uint32_t below = kNone;
  uint64_t below_bytes = 0;
  // Its number among the wanted blobs.
  uint32_t wanted = kNone;
  // How many that have to be decoded are coded against it.
  uint32_t children = 0;
  bool needed = false;
  // Its context cannot be had.
  bool broken = false;
};

struct Run {
  // Nodes, what needs nothing or the end of another run first.
  std::vector<uint32_t> nodes;
  // Number of that run, a smaller one.
  uint32_t below = kNone;
  // How many runs begin at its end.
  uint32_t uses = 0;
};

class Forest {
 public:
  // `memory`: whole records, one behind the other in each piece; what is wrong with one leaves the rest of its piece
  // out. `wanted`: digests. All bytes must outlive the forest.
  Forest(const std::vector<ByteSpan>& memory, const std::vector<FileRecord>& files,
         const std::vector<const uint8_t*>& wanted);

  const std::vector<Node>& nodes() const { return nodes_; }
  // Runs of all wanted blobs that can be had. Others are in none.
  const std::vector<Run>& runs() const { return runs_; }

 private:
  void AddRecords(ByteSpan piece);
  void FindContexts();
  bool IsWhole(uint32_t node) const;
  void Need(uint32_t node);
  void DivideIntoRuns();
  uint32_t Find(const uint8_t* digest) const;

  std::vector<Node> nodes_;
  // Numbers of the nodes by their digests.
  std::vector<uint32_t> order_;
  std::vector<Run> runs_;
};

}  // namespace dk::chain
