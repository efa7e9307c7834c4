// Readers of lists of runs: bits, and pairs of varints. Grammar: docs/format-sparse.md.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/byte_span.h"

namespace dk::sparse {

// Runs as they are read: `count` of one length, each `skip` bytes behind the one before.
struct Stretch {
  uint64_t position;  // of the first one
  uint64_t length;    // at least 1
  uint64_t skip;
  uint64_t count;  // at least 1
};

// What every reader of runs must check: they lie inside the target and cover `changed` bytes together.
class RunBounds {
 public:
  RunBounds(uint64_t changed, uint64_t target_length) : left_(changed), room_(target_length) {}

  uint64_t left() const { return left_; }  // changed bytes not given out
  // Places `count` (at least 1) runs behind those before; false when they do not fit.
  bool Place(uint64_t skip, uint64_t length, uint64_t count, Stretch* stretch) {
    if (length == 0 || length > left_ || count > left_ / length || skip > room_) return false;
    if (count > room_ / (skip + length)) return false;
    *stretch = {position_ + skip, length, skip, count};
    position_ += count * (skip + length);
    room_ -= count * (skip + length);
    left_ -= count * length;
    return true;
  }

 private:
  uint64_t left_;
  uint64_t room_;  // target bytes behind position_
  uint64_t position_ = 0;
};

class PositionReader {
 public:
  PositionReader(ByteSpan bytes, uint64_t changed, uint64_t target_length)
      : at_(bytes.data), end_(bytes.data + bytes.length), bounds_(changed, target_length) {}

  // The next runs. False at the end and for damage; Done tells which.
  bool Next(Stretch* stretch);
  // Whether everything was read and nothing is left over.
  bool Done() const { return good_ && bounds_.left() == 0 && in_block_ == 0 && at_ == end_; }

 private:
  bool Fail();
  bool OpenBlock();
  bool Number(unsigned k, uint64_t* value);
  void Refill();
  bool Bits(unsigned count, uint64_t* value);
  bool CloseBlock();

  const uint8_t* at_;
  const uint8_t* const end_;
  RunBounds bounds_;
  uint64_t in_block_ = 0;  // items left in the block
  unsigned mode_ = 0;
  unsigned skip_bits_ = 0;
  unsigned length_bits_ = 0;
  uint64_t skip_ = 0;    // of a constant block
  uint64_t length_ = 0;  // of a constant block
  uint64_t bits_ = 0;    // those above bit_count_ are of bytes that were not taken yet
  unsigned bit_count_ = 0;
  bool good_ = true;
};

class PlainReader {
 public:
  PlainReader(ByteSpan bytes, uint64_t changed, uint64_t target_length)
      : at_(bytes.data), end_(bytes.data + bytes.length), bounds_(changed, target_length) {}

  bool Next(Stretch* stretch);
  bool Done() const { return good_ && bounds_.left() == 0 && at_ == end_; }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
  RunBounds bounds_;
  bool good_ = true;
};

}  // namespace dk::sparse
