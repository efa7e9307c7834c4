// Lists of runs as bits: blocks of runs, each in the cheapest of three codes. Grammar: docs/format-sparse.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "sparse/sparse_runs.h"

namespace dk::sparse {

// Appends the coded positions of the first `most` runs, each counted for itself.
void WritePositions(const std::vector<Run>& runs, size_t most, std::vector<uint8_t>* out);

// Gives back runs one by one; every run lies inside `target_length` and all of them cover `changed` bytes.
class PositionReader {
 public:
  PositionReader(ByteSpan bytes, uint64_t changed, uint64_t target_length)
      : at_(bytes.data), end_(bytes.data + bytes.length), left_(changed), room_(target_length) {}

  // The next run as position and length. False at the end and for damage; Done tells which.
  bool Next(uint64_t* position, uint64_t* length);
  // Whether everything was read and nothing is left over.
  bool Done() const { return good_ && left_ == 0 && in_block_ == 0 && at_ == end_; }

 private:
  bool Fail();
  bool OpenBlock();
  bool Number(unsigned k, uint64_t* value);
  void Refill();
  bool Bits(unsigned count, uint64_t* value);
  bool CloseBlock();

  const uint8_t* at_;
  const uint8_t* const end_;
  uint64_t left_;  // changed bytes not given out
  uint64_t room_;  // target bytes behind position_
  uint64_t position_ = 0;
  uint64_t in_block_ = 0;  // items left in the block
  unsigned mode_ = 0;
  unsigned skip_bits_ = 0;
  unsigned length_bits_ = 0;
  uint64_t skip_ = 0;    // of a constant block
  uint64_t length_ = 0;  // of a constant block
  uint64_t bits_ = 0;
  unsigned bit_count_ = 0;
  bool good_ = true;
};

}  // namespace dk::sparse
