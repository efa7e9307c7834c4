#include "sparse/sparse_positions.h"

#include <algorithm>
#include <cstring>

#include "common/varint.h"
#include "sparse/sparse_bits.h"

namespace dk::sparse {
namespace {

// Points that are read of the bits of one register, which hold so many nearly always.
constexpr size_t kPointsAtOnce = 4;

uint64_t Word(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

bool PositionReader::Fail() {
  good_ = false;
  return false;
}

void PositionReader::Refill() {
  if (end_ - at_ >= 8) {
    // As many whole bytes as fit. Bits of a byte that does not fit are set again, alike, when it is taken.
    bits_ |= Word(at_) << bit_count_;
    at_ += (63 - bit_count_) / 8;
    bit_count_ |= 56;
    return;
  }
  while (bit_count_ <= 56 && at_ != end_) {
    bits_ |= static_cast<uint64_t>(*at_++) << bit_count_;
    bit_count_ += 8;
  }
}

bool PositionReader::Bits(unsigned count, uint64_t* value) {
  if (bit_count_ < count) Refill();
  if (bit_count_ < count) return Fail();
  *value = bits_ & ((uint64_t{1} << count) - 1);
  bits_ >>= count;
  bit_count_ -= count;
  return true;
}

inline bool PositionReader::Number(unsigned k, uint64_t* value) {
  if (bit_count_ < kEscapeOnes + kEscapeBits) Refill();
  const uint64_t zeros = ~bits_;
  const unsigned ones =
      std::min<unsigned>(zeros == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(zeros)), kEscapeOnes);
  if (ones == kEscapeOnes) {
    uint64_t unary;
    return Bits(kEscapeOnes, &unary) && Bits(kEscapeBits, value);
  }
  const unsigned all = ones + 1 + k;
  if (bit_count_ < all) return Fail();
  *value = (bits_ >> (ones + 1) & ((uint64_t{1} << k) - 1)) | uint64_t{ones} << k;
  bits_ >>= all;
  bit_count_ -= all;
  return true;
}

// Gives whole bytes that were read ahead back; the bits before them must be zero: one content, one form.
bool PositionReader::CloseBlock() {
  at_ -= bit_count_ / 8;
  const uint64_t padding = bits_ & ((uint64_t{1} << bit_count_ % 8) - 1);
  bits_ = 0;
  bit_count_ = 0;
  return padding == 0 || Fail();
}

bool PositionReader::OpenBlock() {
  Reader reader(at_, static_cast<size_t>(end_ - at_));
  const uint8_t* mode = reader.Take(1);
  if (mode == nullptr || *mode > kRuns || !reader.Varint(&in_block_)) return Fail();
  mode_ = *mode;
  // Every item covers a byte at least.
  if (in_block_ == 0 || in_block_ > bounds_.left()) return Fail();
  if (mode_ == kConstant) {
    if (!reader.Varint(&skip_) || !reader.Varint(&length_)) return Fail();
  } else {
    const uint8_t* bits = reader.Take(mode_ == kRuns ? 2 : 1);
    if (bits == nullptr || bits[0] > kRiceMax) return Fail();
    skip_bits_ = bits[0];
    length_bits_ = mode_ == kRuns ? bits[1] : 0;
    if (length_bits_ > kRiceMax) return Fail();
  }
  at_ = end_ - reader.left();
  return true;
}

// What a point waits for is the code of the one before; everything else is done meanwhile. So the bits are held
// inverted: the ones that begin a code are the zeros below the lowest bit then. Each code is looked at twice: whether
// it is a short one, and whether all of it has come.
template <bool kPlain>
size_t PositionReader::Points(const uint8_t* values, uint64_t end, uint8_t* target, uintptr_t ahead) {
  const unsigned k = skip_bits_;
  const uint64_t low = (uint64_t{1} << k) - 1;
  const uint8_t* at = at_;
  uint64_t inverted = ~bits_;
  unsigned have = bit_count_;  // fewer than 64: only behind the last 8 bytes are there more
  uint64_t behind = bounds_.position();
  // The last one closes its block, which Next does.
  const size_t most = in_block_ - 1;
  size_t used = 0;
  for (bool more = true; more && used + kPointsAtOnce <= most && end_ - at >= 8;) {
    // The last bit, behind all that count, ends what has not come.
    inverted = (inverted & ((uint64_t{1} << have) - 1)) | ~Word(at) << have | uint64_t{1} << 63;
    at += (63 - have) / 8;
    have |= 56;
    // Four points are mostly no farther apart.
    __builtin_prefetch(reinterpret_cast<const void*>(ahead + behind), 0, 2);
    __builtin_prefetch(reinterpret_cast<const void*>(ahead + behind + 64), 0, 2);
    for (size_t i = 0; i < kPointsAtOnce; ++i) {
      const unsigned ones = static_cast<unsigned>(__builtin_ctzll(inverted));
      const unsigned all = ones + 1 + k;
      const uint64_t place = behind + ((~inverted >> ones >> 1 & low) | uint64_t{ones} << k);
      if (ones >= kEscapeOnes || all > have || place >= end) {
        // After 56 bits have come a short code is always whole.
        more = i > 0 && all > have;
        break;
      }
      if (kPlain)
        target[place] = values[used];
      else
        target[place] ^= values[used];
      ++used;
      behind = place + 1;
      inverted >>= all;
      have -= all;
    }
  }
  at_ = at;
  bits_ = ~inverted & ((uint64_t{1} << have) - 1);
  bit_count_ = have;
  in_block_ -= used;
  bounds_.Passed(used, behind);
  return used;
}

size_t PositionReader::ApplyPoints(const uint8_t* values, bool plain, uint64_t end, uint8_t* target, uintptr_t ahead) {
  if (!good_ || mode_ != kPoints || in_block_ <= kPointsAtOnce) return 0;
  return plain ? Points<true>(values, end, target, ahead) : Points<false>(values, end, target, ahead);
}

bool PositionReader::Next(Stretch* stretch) {
  if (!good_ || bounds_.left() == 0) return false;
  if (in_block_ == 0 && !OpenBlock()) return false;
  if (mode_ == kConstant) {
    const uint64_t count = in_block_;
    in_block_ = 0;
    return bounds_.Place(skip_, length_, count, stretch) || Fail();
  }
  uint64_t skip, extra = 0;
  if (!Number(skip_bits_, &skip)) return false;
  if (mode_ == kRuns && !Number(length_bits_, &extra)) return false;
  if (!bounds_.Place(skip, extra + 1, 1, stretch)) return Fail();
  --in_block_;
  return in_block_ > 0 || CloseBlock();
}

bool PlainReader::Next(Stretch* stretch) {
  if (!good_ || bounds_.left() == 0) return false;
  // A pair of single bytes that comes again and again is read as one.
  const size_t left = static_cast<size_t>(end_ - at_);
  uint64_t skip, length, count = 1;
  if (left >= 2 && (at_[0] | at_[1]) < 128) {
    skip = at_[0];
    length = at_[1];
    const uint64_t same = (uint64_t{at_[1]} << 8 | at_[0]) * 0x0001000100010001u;
    size_t pairs = 1;
    while (2 * pairs + 8 <= left && Word(at_ + 2 * pairs) == same) pairs += 4;
    while (2 * pairs + 2 <= left && at_[2 * pairs] == at_[0] && at_[2 * pairs + 1] == at_[1]) ++pairs;
    count = pairs;
    at_ += 2 * pairs;
  } else {
    Reader reader(at_, left);
    good_ = reader.Varint(&skip) && reader.Varint(&length);
    if (!good_) return false;
    at_ = end_ - reader.left();
  }
  good_ = bounds_.Place(skip, length, count, stretch);
  return good_;
}

}  // namespace dk::sparse
