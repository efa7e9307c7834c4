#include "sparse/sparse_positions.h"

#include <algorithm>

#include "common/varint.h"

namespace dk::sparse {
namespace {

// Stored: never change, never reuse.
constexpr unsigned kConstant = 0;
constexpr unsigned kPoints = 1;
constexpr unsigned kRuns = 2;

constexpr size_t kBlockRuns = 1024;
// So many equal runs in a row end a block: they cost a few bytes as a block of their own.
constexpr size_t kConstantMin = 64;
constexpr unsigned kEscapeOnes = 24;
constexpr unsigned kEscapeBits = 32;
constexpr unsigned kRiceMax = 31;

class BitWriter {
 public:
  explicit BitWriter(std::vector<uint8_t>* out) : out_(out) {}

  void Put(uint64_t value, unsigned count) {
    bits_ |= value << filled_;
    filled_ += count;
    while (filled_ >= 8) {
      out_->push_back(static_cast<uint8_t>(bits_));
      bits_ >>= 8;
      filled_ -= 8;
    }
  }

  void Rice(uint64_t value, unsigned k) {
    const uint64_t ones = value >> k;
    if (ones >= kEscapeOnes) {
      Put((uint64_t{1} << kEscapeOnes) - 1, kEscapeOnes);
      Put(value, kEscapeBits);
      return;
    }
    Put((uint64_t{1} << ones) - 1, static_cast<unsigned>(ones) + 1);
    Put(value & ((uint64_t{1} << k) - 1), k);
  }

  void Flush() {
    if (filled_ > 0) out_->push_back(static_cast<uint8_t>(bits_));
    bits_ = 0;
    filled_ = 0;
  }

 private:
  std::vector<uint8_t>* const out_;
  uint64_t bits_ = 0;  // fewer than 8 of them between calls
  unsigned filled_ = 0;
};

// Bits of one number, and a bound that serves well enough to compare codes.
uint64_t RiceBits(uint64_t value, unsigned k) {
  const uint64_t ones = value >> k;
  return ones >= kEscapeOnes ? kEscapeOnes + kEscapeBits : ones + 1 + k;
}

struct Choice {
  unsigned k;
  uint64_t bits;
};

// The cheapest parameter for some numbers: near the logarithm of their mean.
template <typename Cost>
Choice BestRice(uint64_t sum, uint64_t count, const Cost& cost) {
  unsigned guess = 0;
  while (guess < kRiceMax && (sum >> (guess + 1)) >= count) ++guess;
  Choice best = {0, ~uint64_t{0}};
  for (unsigned k = guess > 0 ? guess - 1 : 0; k <= std::min(guess + 1, kRiceMax); ++k) {
    const uint64_t bits = cost(k);
    if (bits < best.bits) best = {k, bits};
  }
  return best;
}

// Walks through runs one by one, as far as wanted.
class Cursor {
 public:
  Cursor(const std::vector<Run>& runs, size_t most) : runs_(runs), left_(most) {}

  bool done() const { return left_ == 0; }
  const Run& run() const { return runs_[at_]; }
  // How many equal ones begin here.
  size_t Equal() const { return std::min<size_t>(runs_[at_].count - used_, left_); }
  // Whether they are worth a block of their own.
  bool IsConstant() const { return Equal() >= kConstantMin || Equal() == left_; }

  void Step(size_t count) {
    left_ -= count;
    used_ += count;
    if (used_ < runs_[at_].count) return;
    used_ = 0;
    ++at_;
  }

  // Runs of the next block that is not constant: it ends where a long constant stretch begins.
  void TakeMixed(std::vector<Run>* block) {
    block->clear();
    do {
      const size_t take = std::min(Equal(), kBlockRuns - block->size());
      block->insert(block->end(), take, run());
      Step(take);
    } while (left_ > 0 && block->size() < kBlockRuns && Equal() < kConstantMin);
  }

 private:
  const std::vector<Run>& runs_;
  size_t at_ = 0;
  size_t used_ = 0;  // of the equal ones at at_
  size_t left_;
};

// Each for itself: `count` of them is not looked at.
void WriteMixed(const Run* runs, size_t count, std::vector<uint8_t>* out) {
  uint64_t skips = 0, extras = 0;
  for (size_t i = 0; i < count; ++i) {
    skips += runs[i].skip;
    extras += runs[i].length - 1;
  }
  const auto skip_cost = [&](unsigned k) {
    uint64_t bits = 0;
    for (size_t i = 0; i < count; ++i) bits += RiceBits(runs[i].skip, k);
    return bits;
  };
  const auto length_cost = [&](unsigned k) {
    uint64_t bits = 0;
    for (size_t i = 0; i < count; ++i) bits += RiceBits(runs[i].length - 1, k);
    return bits;
  };
  const auto point_cost = [&](unsigned k) { return skip_cost(k) + extras * (k + 1); };
  const Choice skip = BestRice(skips, count, skip_cost);
  const Choice length = BestRice(extras, count, length_cost);
  const Choice point = BestRice(skips, count + extras, point_cost);
  const bool points = point.bits <= skip.bits + length.bits;
  out->push_back(static_cast<uint8_t>(points ? kPoints : kRuns));
  PutVarint(out, points ? count + extras : count);
  out->push_back(static_cast<uint8_t>(points ? point.k : skip.k));
  if (!points) out->push_back(static_cast<uint8_t>(length.k));
  BitWriter bits(out);
  for (size_t i = 0; i < count; ++i) {
    if (points) {
      bits.Rice(runs[i].skip, point.k);
      for (uint32_t more = 1; more < runs[i].length; ++more) bits.Rice(0, point.k);
    } else {
      bits.Rice(runs[i].skip, skip.k);
      bits.Rice(runs[i].length - 1, length.k);
    }
  }
  bits.Flush();
}

}  // namespace

void WritePositions(const std::vector<Run>& runs, size_t most, std::vector<uint8_t>* out) {
  std::vector<Run> block;
  for (Cursor cursor(runs, most); !cursor.done();) {
    if (cursor.IsConstant()) {
      const size_t equal = cursor.Equal();
      out->push_back(static_cast<uint8_t>(kConstant));
      PutVarint(out, equal);
      PutVarint(out, cursor.run().skip);
      PutVarint(out, cursor.run().length);
      cursor.Step(equal);
      continue;
    }
    cursor.TakeMixed(&block);
    WriteMixed(block.data(), block.size(), out);
  }
}

bool PositionReader::Fail() {
  good_ = false;
  return false;
}

void PositionReader::Refill() {
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

bool PositionReader::Number(unsigned k, uint64_t* value) {
  if (bit_count_ < kEscapeOnes + 1) Refill();
  const uint64_t zeros = ~bits_;
  const unsigned ones =
      std::min<unsigned>(zeros == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(zeros)), kEscapeOnes);
  uint64_t unary;
  if (ones == kEscapeOnes) return Bits(kEscapeOnes, &unary) && Bits(kEscapeBits, value);
  if (!Bits(ones + 1, &unary) || !Bits(k, value)) return false;
  *value |= uint64_t{ones} << k;
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
  if (in_block_ == 0 || in_block_ > left_) return Fail();
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

bool PositionReader::Next(uint64_t* position, uint64_t* length) {
  if (!good_ || left_ == 0) return false;
  if (in_block_ == 0 && !OpenBlock()) return false;
  uint64_t skip = skip_, covered = length_;
  if (mode_ != kConstant) {
    if (!Number(skip_bits_, &skip)) return false;
    covered = 1;
    if (mode_ == kRuns) {
      if (!Number(length_bits_, &covered)) return false;
      ++covered;
    }
  }
  if (covered == 0 || covered > left_ || skip > room_ || covered > room_ - skip) return Fail();
  position_ += skip;
  *position = position_;
  *length = covered;
  position_ += covered;
  room_ -= skip + covered;
  left_ -= covered;
  --in_block_;
  return in_block_ > 0 || CloseBlock();
}

}  // namespace dk::sparse
