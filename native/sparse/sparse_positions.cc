#include "sparse/sparse_positions.h"

#include <algorithm>
#include <cstring>

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
// What one Put takes.
constexpr unsigned kPutMost = 56;

// At most 10 bytes. Returns what is behind them.
uint8_t* PutNumber(uint8_t* at, uint64_t value) {
  for (; value > 127; value >>= 7) *at++ = static_cast<uint8_t>(value | 128);
  *at++ = static_cast<uint8_t>(value);
  return at;
}

void PutNumber(ScratchBytes* out, uint64_t value) {
  for (; value > 127; value >>= 7) out->push_back(static_cast<uint8_t>(value | 128));
  out->push_back(static_cast<uint8_t>(value));
}

// Writes into room that was counted before, and up to 8 bytes behind it.
class BitWriter {
 public:
  explicit BitWriter(uint8_t* out) : out_(out) {}

  // At most kPutMost bits.
  void Put(uint64_t value, unsigned count) {
    bits_ |= value << filled_;
    filled_ += count;
    memcpy(out_, &bits_, sizeof bits_);
    out_ += filled_ / 8;
    bits_ >>= filled_ / 8 * 8;
    filled_ %= 8;
  }

  // Of a value that needs no escape.
  void ShortRice(uint64_t value, unsigned k) {
    const uint64_t ones = value >> k;
    const uint64_t low = value & ((uint64_t{1} << k) - 1);
    Put(((uint64_t{1} << ones) - 1) | low << (ones + 1), static_cast<unsigned>(ones) + 1 + k);
  }

  // Values, each followed by some zeros, in codes of at most kPutMost bits: two at a time where they fit together,
  // since what one Put leaves is what the next one waits for.
  void Points(const uint32_t* values, const uint32_t* zeros, size_t count, unsigned k) {
    const uint32_t low = (uint32_t{1} << k) - 1;
    size_t i = 0;
    for (; i + 2 <= count; i += 2) {
      const unsigned ones[2] = {values[i] >> k, values[i + 1] >> k};
      const unsigned bits[2] = {ones[0] + (k + 1) * (1 + zeros[i]), ones[1] + (k + 1) * (1 + zeros[i + 1])};
      const uint64_t first = ((uint64_t{1} << ones[0]) - 1) | uint64_t{values[i] & low} << (ones[0] + 1);
      const uint64_t second = ((uint64_t{1} << ones[1]) - 1) | uint64_t{values[i + 1] & low} << (ones[1] + 1);
      if (bits[0] + bits[1] <= kPutMost) {
        Put(first | second << bits[0], bits[0] + bits[1]);
      } else {
        Put(first, bits[0]);
        Put(second, bits[1]);
      }
    }
    if (i == count) return;
    const unsigned ones = values[i] >> k;
    Put(((uint64_t{1} << ones) - 1) | uint64_t{values[i] & low} << (ones + 1), ones + (k + 1) * (1 + zeros[i]));
  }

  void Rice(uint64_t value, unsigned k) {
    const uint64_t ones = value >> k;
    if (ones >= kEscapeOnes) {
      Put((uint64_t{1} << kEscapeOnes) - 1, kEscapeOnes);
      Put(value, kEscapeBits);
      return;
    }
    ShortRice(value, k);
  }

 private:
  uint8_t* out_;
  uint64_t bits_ = 0;  // fewer than 8 of them between calls
  unsigned filled_ = 0;
};

// What some numbers take.
uint64_t RiceBits(const uint32_t* values, size_t count, uint32_t largest, unsigned k) {
  if ((largest >> k) < kEscapeOnes) {
    uint32_t ones = 0;
    for (size_t i = 0; i < count; ++i) ones += values[i] >> k;
    return ones + count * (1 + k);
  }
  uint64_t bits = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t ones = values[i] >> k;
    bits += ones >= kEscapeOnes ? kEscapeOnes + kEscapeBits : ones + 1 + k;
  }
  return bits;
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

// Runs of one block, each for itself.
struct Mixed {
  uint32_t skips[kBlockRuns];
  uint32_t extras[kBlockRuns];  // lengths beyond the first byte
  size_t count = 0;

  void Add(const Run& run) {
    skips[count] = run.skip;
    extras[count] = run.length - 1;
    ++count;
  }
  void Add(const Run& run, size_t times) {
    std::fill_n(skips + count, times, run.skip);
    std::fill_n(extras + count, times, run.length - 1);
    count += times;
  }
};

// Walks through runs one by one, as far as wanted.
class Cursor {
 public:
  Cursor(RunSpan runs, size_t from, size_t end) : runs_(runs), left_(end) {
    while (from > 0) {
      const size_t step = std::min(from, Equal());
      Step(step);
      from -= step;
    }
  }

  bool done() const { return left_ == 0; }
  // No run that equals the last one comes behind it.
  bool parted() const { return used_ == 0; }
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
  void TakeMixed(Mixed* block) {
    block->count = 0;
    do {
      TakeSingle(block);
      if (left_ == 0 || block->count == kBlockRuns || (block->count > 0 && Equal() >= kConstantMin)) return;
      const size_t take = std::min(Equal(), kBlockRuns - block->count);
      block->Add(run(), take);
      Step(take);
    } while (left_ > 0 && block->count < kBlockRuns && Equal() < kConstantMin);
  }

 private:
  // Those that differ from their neighbours: nearly all, where changes are scattered. In registers.
  void TakeSingle(Mixed* block) {
    const Run* const begin = runs_.data + at_;
    const Run* const end = begin + std::min(left_, kBlockRuns - block->count);
    const Run* run = begin;
    uint32_t* skip = block->skips + block->count;
    uint32_t* extra = block->extras + block->count;
    for (; run != end && run->count == 1; ++run) {
      *skip++ = run->skip;
      *extra++ = run->length - 1;
    }
    const size_t taken = static_cast<size_t>(run - begin);
    block->count += taken;
    at_ += taken;
    left_ -= taken;
  }

  const RunSpan runs_;
  size_t at_ = 0;
  size_t used_ = 0;  // of the equal ones at at_
  size_t left_;
};

void WriteMixed(const Mixed& runs, ScratchBytes* out) {
  const size_t count = runs.count;
  uint64_t skips = 0, extras = 0;
  uint32_t skip_most = 0, extra_most = 0;
  for (size_t i = 0; i < count; ++i) {
    skips += runs.skips[i];
    extras += runs.extras[i];
    skip_most = std::max(skip_most, runs.skips[i]);
    extra_most = std::max(extra_most, runs.extras[i]);
  }
  uint64_t skip_costs[kRiceMax + 1] = {};  // 0: not known
  const auto skip_cost = [&](unsigned k) {
    if (skip_costs[k] == 0) skip_costs[k] = RiceBits(runs.skips, count, skip_most, k);
    return skip_costs[k];
  };
  const auto length_cost = [&](unsigned k) { return RiceBits(runs.extras, count, extra_most, k); };
  const auto point_cost = [&](unsigned k) { return skip_cost(k) + extras * (k + 1); };
  const Choice point = BestRice(skips, count + extras, point_cost);
  // Single bytes: a length, however short, would only be dearer.
  const Choice skip = extras == 0 ? point : BestRice(skips, count, skip_cost);
  const Choice length = extras == 0 ? Choice{0, count} : BestRice(extras, count, length_cost);
  const bool points = point.bits <= skip.bits + length.bits;
  out->push_back(static_cast<uint8_t>(points ? kPoints : kRuns));
  PutNumber(out, points ? count + extras : count);
  out->push_back(static_cast<uint8_t>(points ? point.k : skip.k));
  if (!points) out->push_back(static_cast<uint8_t>(length.k));
  const size_t start = out->size();
  const size_t bytes = ((points ? point.bits : skip.bits + length.bits) + 7) / 8;
  out->resize(start + bytes + sizeof(uint64_t));
  BitWriter bits(out->data() + start);
  const uint64_t ones_most = skip_most >> point.k;
  if (points && ones_most < kEscapeOnes && ones_most + (point.k + 1) * (uint64_t{extra_most} + 1) <= kPutMost) {
    bits.Points(runs.skips, runs.extras, count, point.k);
    out->resize(start + bytes);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    if (points) {
      bits.Rice(runs.skips[i], point.k);
      for (uint32_t more = 0; more < runs.extras[i]; ++more) bits.Rice(0, point.k);
    } else {
      bits.Rice(runs.skips[i], skip.k);
      bits.Rice(runs.extras[i], length.k);
    }
  }
  out->resize(start + bytes);
}

uint64_t Word(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

bool WritePositions(RunSpan runs, size_t from, size_t end, ScratchBytes* out) {
  Mixed block;
  bool full = true;
  for (Cursor cursor(runs, from, end); !cursor.done();) {
    if (cursor.IsConstant()) {
      // It might be longer, or none, if it was not the end.
      full = false;
      const size_t equal = cursor.Equal();
      out->push_back(static_cast<uint8_t>(kConstant));
      PutNumber(out, equal);
      PutNumber(out, cursor.run().skip);
      PutNumber(out, cursor.run().length);
      cursor.Step(equal);
      continue;
    }
    cursor.TakeMixed(&block);
    full = full && block.count == kBlockRuns && cursor.parted();
    WriteMixed(block, out);
  }
  return full;
}

void PlainPositions(RunSpan runs, size_t most, ScratchBytes* out) {
  uint8_t numbers[20];
  size_t used = out->size();
  for (const Run& run : runs) {
    const size_t turns = std::min<size_t>(run.count, most);
    if (turns == 0) break;
    const size_t pair = static_cast<size_t>(PutNumber(PutNumber(numbers, run.skip), run.length) - numbers);
    const size_t room = used + turns * pair;
    if (out->size() < room) out->resize(std::max(room, 2 * out->size()));
    uint8_t* const from = out->data() + used;
    memcpy(from, numbers, pair);
    // What is there is doubled until it is all.
    for (size_t made = pair; made < turns * pair;) {
      const size_t more = std::min(made, turns * pair - made);
      memcpy(from + made, from, more);
      made += more;
    }
    used += turns * pair;
    most -= turns;
  }
  out->resize(used);
}

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
