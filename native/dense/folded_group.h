// The records of a group of a dense pack, made from what its frame decodes to, each when somebody asks for it. The
// layout is that of docs/format.md, section 12; who writes is src/format/dense-records.ts, and
// src/format/dense-unfold.ts reads the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
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

// The first bytes of a group's folded ones, or all of them.
struct FoldedBytes {
  std::unique_ptr<uint8_t[]> data;
  size_t length = 0;
};

// Bytes of the plain records.
struct Stretch {
  uint64_t from = 0;
  uint64_t length = 0;
};

// The body of a record: where it stands in the folded bytes.
struct Body {
  uint32_t record = 0;
  size_t at = 0;
  size_t length = 0;
};

// What more of a group was decoded: all folded bytes, or some bodies.
struct Bodies {
  FoldedBytes all;
  std::vector<std::pair<uint32_t, std::vector<uint8_t>>> some;
};

// Not thread-safe. Throws std::bad_alloc and nothing else.
class FoldedGroup {
 public:
  // So many of the folded bytes have to be known for `Open`; 0 when they cannot be right. `first`: the first ones, at
  // least eight or all; `length`: how many there are.
  static size_t TableEnd(ByteSpan first, size_t length);

  // Takes in where everything stands. `front`: the first `TableEnd` of `length` folded bytes, or more. False when
  // anything there cannot be: the group is of no use then.
  bool Open(ByteSpan front, size_t length, const FoldFacts& facts);

  // Bytes of the plain records, and the folded ones.
  uint64_t bytes() const { return facts_.bytes; }
  size_t folded_bytes() const { return folded_bytes_; }
  // Where the bodies begin: all folded bytes before have to be held.
  size_t bodies_at() const { return bodies_at_; }
  // Memory that it holds, about.
  size_t memory() const;

  // Takes folded bytes, the first `bodies_at` ones at least.
  void Hold(FoldedBytes folded);
  // Takes what `Missing` asked for.
  void Add(Bodies bodies);

  // Bodies that are needed for these plain bytes and were not taken yet, in the order in which they stand.
  std::vector<Body> Missing(const Stretch& wanted) const;

  // Copies bytes of the plain records, from the one at `from` on, until `into` is full or they end. Nothing of them may
  // be missing.
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
  bool PlaceBodies(size_t first);
  bool IsWithin(size_t record) const;
  bool IsHeld(size_t record) const;
  ByteSpan BodyOf(size_t record);
  ByteSpan Matter(size_t record, std::vector<uint8_t>* room);
  void Learn(size_t record);
  ByteSpan Make(size_t record);
  size_t Find(uint64_t at) const;
  uint8_t* DigestOf(size_t record) { return digests_.data() + record * kDigestBytes; }

  FoldFacts facts_;
  size_t folded_bytes_ = 0;
  size_t bodies_at_ = 0;
  // As many of the first ones as are held.
  FoldedBytes folded_;
  // Bodies behind these.
  std::unordered_map<uint32_t, std::vector<uint8_t>> some_;
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
