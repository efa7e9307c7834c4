// The records of a group of a dense pack, made from what its frame decodes to, each when somebody asks for it. The
// layout is that of docs/format.md, section 12; who writes is src/format/dense-records.ts, and
// src/format/dense-unfold.ts reads the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/byte_span.h"
#include "common/record_layout.h"

namespace dk::dense {

constexpr size_t kDigestBytes = 32;
// Bytes of the plain records of a group at most: LIMITS.denseGroupBytesMax of src/core/limits.ts.
constexpr uint64_t kGroupBytesMax = 8u << 20;

// Digest of bytes with the store's algorithm, on the calling thread.
using Hash = void (*)(const uint8_t* data, size_t length, uint8_t* digest);

struct FoldFacts {
  uint64_t records = 0;
  // Bytes of the plain records.
  uint64_t bytes = 0;
  Hash hash = nullptr;
};

struct FoldedBytes {
  std::unique_ptr<uint8_t[]> data;
  size_t length = 0;
};

// Not thread-safe. Throws std::bad_alloc and nothing else.
class FoldedGroup {
 public:
  // Takes the folded bytes. False when anything in them cannot be: the group is of no use then.
  bool Open(FoldedBytes folded, const FoldFacts& facts);

  // Bytes of the plain records.
  uint64_t bytes() const { return facts_.bytes; }
  // Memory that it holds, about.
  size_t memory() const;

  // Copies bytes of the plain records, from the one at `from` on, until `into` is full or they end.
  void Copy(uint64_t from, uint8_t* into, size_t length);

 private:
  struct Record {
    // First byte among the plain records.
    uint32_t start = 0;
    uint32_t body_bytes = 0;
    // Where the body begins in the folded bytes; of a row, how many rows stand before it in its class.
    uint32_t body_at = 0;
    uint32_t row_class = kNoClass;
    uint32_t first_cut = 0;
    uint8_t kind = 0;
    uint8_t form = 0;
  };
  struct Cut {
    // Bytes of the body between it and the one before.
    uint32_t skip;
    // The record whose digest was cut out there.
    uint32_t named;
  };
  struct RowClass {
    uint32_t bytes = 0;
    uint32_t count = 0;
    // Where its columns begin in the folded bytes.
    size_t at = 0;
    // The bodies one after the other; empty until somebody needs one.
    std::vector<uint8_t> bodies;
  };

  static constexpr uint32_t kNoClass = 0xffffffff;

  bool ReadTable(ByteSpan table);
  bool PlaceBodies(size_t first, size_t end);
  ByteSpan Body(const Record& record);
  ByteSpan Matter(size_t record, std::vector<uint8_t>* room);
  void Learn(size_t record);
  ByteSpan Make(size_t record);
  size_t Find(uint64_t at) const;
  uint8_t* DigestOf(size_t record) { return digests_.data() + record * kDigestBytes; }

  FoldFacts facts_;
  FoldedBytes folded_;
  // One more at the end: where everything ends.
  std::vector<Record> records_;
  std::vector<Cut> cuts_;
  std::vector<RowClass> classes_;
  std::vector<uint8_t> digests_;
  std::vector<uint8_t> known_;
  std::vector<uint8_t> matter_;
  std::vector<uint8_t> made_;
};

}  // namespace dk::dense
