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

  uint64_t left() const { return left_; }          // changed bytes not given out
  uint64_t position() const { return position_; }  // behind the last run
  // Places `count` (at least 1) runs behind those before; false when they do not fit.
  bool Place(uint64_t skip, uint64_t length, uint64_t count, Stretch* stretch) {
    if (count == 1) return PlaceOne(skip, length, stretch);
    if (length == 0 || length > left_ || count > left_ / length || skip > room_) return false;
    if (count > room_ / (skip + length)) return false;
    *stretch = {position_ + skip, length, skip, count};
    position_ += count * (skip + length);
    room_ -= count * (skip + length);
    left_ -= count * length;
    return true;
  }
  // `count` single bytes, the last of which ends at `end`: the caller knows that they fit.
  void Passed(uint64_t count, uint64_t end) {
    room_ -= end - position_;
    position_ = end;
    left_ -= count;
  }

 private:
  // Without the divisions that many runs take.
  bool PlaceOne(uint64_t skip, uint64_t length, Stretch* stretch) {
    if (length == 0 || length > left_ || skip > room_ || length > room_ - skip) return false;
    *stretch = {position_ + skip, length, skip, 1};
    position_ += skip + length;
    room_ -= skip + length;
    left_ -= length;
    return true;
  }

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
  // Applies single bytes of an open block that lie before `end`, which is inside the target: as many as are plainly
  // such. Whatever else there is, or may be, is left to Next. Returns how many of the values were used.
  // `ahead`, with a place added: an address that is read soon after it; nothing depends on it.
  size_t ApplyPoints(const uint8_t* values, bool plain, uint64_t end, uint8_t* target, uintptr_t ahead);
  // Whether everything was read and nothing is left over.
  bool Done() const { return good_ && bounds_.left() == 0 && in_block_ == 0 && at_ == end_; }

 private:
  template <bool kPlain>
  size_t Points(const uint8_t* values, uint64_t end, uint8_t* target, uintptr_t ahead);
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
  // As that of PositionReader: there are no blocks here.
  size_t ApplyPoints(const uint8_t*, bool, uint64_t, uint8_t*, uintptr_t) { return 0; }
  bool Done() const { return good_ && bounds_.left() == 0 && at_ == end_; }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
  RunBounds bounds_;
  bool good_ = true;
};

}  // namespace dk::sparse
