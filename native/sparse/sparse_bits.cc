#include "sparse/sparse_bits.h"

#include <algorithm>
#include <cstring>

namespace dk::sparse {
namespace {

constexpr size_t kBlockRuns = 1024;
// So many equal runs in a row end a block: they cost a few bytes as a block of their own.
constexpr size_t kConstantMin = 64;
// What must be known behind a place to tell whether equal runs that begin in its block are that many.
constexpr size_t kAhead = kBlockRuns + kConstantMin - 1;
// Blocks are written for so many runs at a time, which stay in the nearest caches until then.
constexpr size_t kGathered = 4096;
constexpr size_t kRoom = kGathered + RunScan::kHandedMax;
// What one Put takes.
constexpr unsigned kPutMost = 56;
static_assert(kFourBits <= kPutMost, "four codes are put at once");

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

  // A value that is followed by some zeros, in a code of at most kPutMost bits.
  void Point(uint32_t value, uint32_t zeros, unsigned k) {
    const unsigned ones = value >> k;
    const uint64_t low = value & ((uint32_t{1} << k) - 1);
    Put(((uint64_t{1} << ones) - 1) | low << (ones + 1), ones + (k + 1) * (1 + zeros));
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

// Numbers of one block.
class Numbers {
 public:
  Numbers(const CodeKernels& kernels, const uint32_t* values, size_t count)
      : kernels_(kernels), values_(values), count_(count), totals_(kernels.totals(values, count)) {}

  uint64_t sum() const { return totals_.sum; }
  uint32_t largest() const { return totals_.largest; }
  // What they take.
  uint64_t Bits(unsigned k) const {
    if ((totals_.largest >> k) < kEscapeOnes) return kernels_.shifted_sum(values_, count_, k) + count_ * (1 + k);
    uint64_t bits = 0;
    for (size_t i = 0; i < count_; ++i) {
      const uint32_t ones = values_[i] >> k;
      bits += ones >= kEscapeOnes ? kEscapeOnes + kEscapeBits : ones + 1 + k;
    }
    return bits;
  }

 private:
  const CodeKernels& kernels_;
  const uint32_t* const values_;
  const size_t count_;
  const Totals totals_;
};

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

// Runs of one block.
struct Mixed {
  const uint32_t* skips;
  const uint32_t* extras;
  size_t count;
};

// Four at a time where they fit together, since what one Put leaves is what the next one waits for.
void PutPoints(const CodeKernels& kernels, const Mixed& runs, unsigned k, BitWriter* out) {
  uint64_t codes[kBlockRuns / 4 + kFours], bits[kBlockRuns / 4 + kFours];
  size_t at = 0;
  while (at < runs.count) {
    const size_t steps = (runs.count - at) / kCodeStep;
    const size_t made = kernels.fours(runs.skips + at, runs.extras + at, steps, k, codes, bits);
    for (size_t i = 0; i < made * kFours; ++i) out->Put(codes[i], static_cast<unsigned>(bits[i]));
    at += made * kCodeStep;
    // Those that do not fit, or the last ones.
    const size_t end = std::min(at + kCodeStep, runs.count);
    for (; at < end; ++at) out->Point(runs.skips[at], runs.extras[at], k);
  }
}

void WriteMixed(const CodeKernels& kernels, const Mixed& runs, ScratchBytes* out) {
  const size_t count = runs.count;
  const Numbers skips(kernels, runs.skips, count), extras(kernels, runs.extras, count);
  uint64_t skip_costs[kRiceMax + 1] = {};  // 0: not known
  const auto skip_cost = [&](unsigned k) {
    if (skip_costs[k] == 0) skip_costs[k] = skips.Bits(k);
    return skip_costs[k];
  };
  const uint64_t more = extras.sum();
  const auto point_cost = [&](unsigned k) { return skip_cost(k) + more * (k + 1); };
  const Choice point = BestRice(skips.sum(), count + more, point_cost);
  const Choice skip = more == 0 ? point : BestRice(skips.sum(), count, skip_cost);
  // Each length takes a bit at least: mostly that is enough to know.
  Choice length = {0, count};
  bool points = point.bits <= skip.bits + length.bits;
  if (!points) {
    length = BestRice(more, count, [&](unsigned k) { return extras.Bits(k); });
    points = point.bits <= skip.bits + length.bits;
  }
  out->push_back(static_cast<uint8_t>(points ? kPoints : kRuns));
  PutNumber(out, points ? count + more : count);
  out->push_back(static_cast<uint8_t>(points ? point.k : skip.k));
  if (!points) out->push_back(static_cast<uint8_t>(length.k));
  const size_t start = out->size();
  const size_t bytes = ((points ? point.bits : skip.bits + length.bits) + 7) / 8;
  out->resize(start + bytes + sizeof(uint64_t));
  BitWriter bits(out->data() + start);
  const uint64_t ones_most = skips.largest() >> point.k;
  const bool is_short = ones_most < kEscapeOnes && ones_most + point.k + 1 <= 32 &&
                        ones_most + (point.k + 1) * (uint64_t{extras.largest()} + 1) <= kPutMost;
  if (points && is_short) {
    PutPoints(kernels, runs, point.k, &bits);
    out->resize(start + bytes);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    if (points) {
      bits.Rice(runs.skips[i], point.k);
      for (uint32_t zero = 0; zero < runs.extras[i]; ++zero) bits.Rice(0, point.k);
    } else {
      bits.Rice(runs.skips[i], skip.k);
      bits.Rice(runs.extras[i], length.k);
    }
  }
  out->resize(start + bytes);
}

}  // namespace

BitPositions::BitPositions(Simd simd)
    : kernels_(CodeKernelsFor(simd)), skips_(new uint32_t[kRoom]), extras_(new uint32_t[kRoom]) {}

// How many runs from this one on are equal, of those that are here.
size_t BitPositions::EqualFrom(size_t from) const {
  size_t at = from + 1;
  while (at < count_ && Same(at, from)) ++at;
  return at - from;
}

// Where the first kConstantMin equal runs begin between two places, else `end`.
size_t BitPositions::Streak(size_t from, size_t end) const {
  constexpr size_t kLook = kConstantMin / 2;
  // So many equal ones hold a whole stretch of half as many, wherever they begin.
  for (size_t look = from; look + kLook <= end; look += kLook) {
    if (!Same(look, look + kLook - 1) || !Same(look, look + kLook / 2)) continue;
    size_t first = look, last = look;
    while (first > from && Same(first - 1, look)) --first;
    while (last + 1 < end && Same(last + 1, look)) ++last;
    if (last + 1 - first >= kConstantMin) return first;
  }
  return end;
}

void BitPositions::PutConstant(uint32_t skip, uint32_t extra, size_t count) {
  bytes_.push_back(static_cast<uint8_t>(kConstant));
  PutNumber(&bytes_, count);
  PutNumber(&bytes_, skip);
  PutNumber(&bytes_, uint64_t{extra} + 1);
}

void BitPositions::PutMixed(size_t from, size_t count) {
  WriteMixed(kernels_, {skips_.get() + from, extras_.get() + from, count}, &bytes_);
}

// Writes what is certain, in view of what comes behind.
void BitPositions::Drain(Behind behind) {
  size_t at = 0;
  while (at < count_ && (behind != Behind::kMore || count_ - at >= kAhead)) {
    const size_t end = std::min(count_, at + kAhead);
    const size_t streak = Streak(at, end);
    if (streak == at) {
      const size_t equal = EqualFrom(at);
      if (at + equal == count_ && behind == Behind::kMore) {
        constant_ = {skips_[at], extras_[at], equal};
        count_ = 0;
        return;
      }
      PutConstant(skips_[at], extras_[at], equal);
      at += equal;
      continue;
    }
    if (behind == Behind::kNothing && at + EqualFrom(at) == count_) {
      PutConstant(skips_[at], extras_[at], count_ - at);
      at = count_;
      continue;
    }
    // A streak that begins behind the block is none of its own.
    const size_t most = std::min(kBlockRuns, count_ - at);
    const size_t taken = streak < at + most ? streak - at : most;
    PutMixed(at, taken);
    at += taken;
  }
  std::copy(skips_.get() + at, skips_.get() + count_, skips_.get());
  std::copy(extras_.get() + at, extras_.get() + count_, extras_.get());
  count_ -= at;
}

void BitPositions::CloseConstant() {
  if (constant_.count > 0) PutConstant(constant_.skip, constant_.extra, constant_.count);
  constant_.count = 0;
}

void BitPositions::Singles(const uint32_t* skips, const uint32_t* extras, size_t count) {
  size_t at = 0;
  if (constant_.count > 0) {
    while (at < count && skips[at] == constant_.skip && extras[at] == constant_.extra) ++at;
    constant_.count += at;
    if (at == count) return;
    CloseConstant();
  }
  while (at < count) {
    const size_t some = std::min(count - at, kRoom - count_);
    std::copy_n(skips + at, some, skips_.get() + count_);
    std::copy_n(extras + at, some, extras_.get() + count_);
    count_ += some;
    at += some;
    if (count_ < kGathered) return;
    Drain(Behind::kMore);
    if (constant_.count > 0) return Singles(skips + at, extras + at, count - at);
  }
}

void BitPositions::Equal(uint32_t skip, uint32_t extra, size_t count) {
  if (constant_.count > 0) {
    if (skip == constant_.skip && extra == constant_.extra) {
      constant_.count += count;
      return;
    }
    CloseConstant();
  }
  size_t before = 0;
  while (before < count_ && skips_[count_ - 1 - before] == skip && extras_[count_ - 1 - before] == extra) ++before;
  if (before + count >= kConstantMin) {
    count_ -= before;
    Drain(Behind::kConstant);
    constant_ = {skip, extra, before + count};
    return;
  }
  uint32_t skips[kConstantMin], extras[kConstantMin];
  std::fill_n(skips, count, skip);
  std::fill_n(extras, count, extra);
  Singles(skips, extras, count);
}

size_t BitPositions::SizeSoFar() {
  Drain(Behind::kMore);
  // What is written for the end goes again; the runs stay.
  const size_t certain = bytes_.size();
  const size_t count = count_;
  const auto constant = constant_;
  Finish();
  const size_t size = bytes_.size();
  bytes_.resize(certain);
  count_ = count;
  constant_ = constant;
  return size;
}

ScratchBytes* BitPositions::Finish() {
  CloseConstant();
  Drain(Behind::kNothing);
  return &bytes_;
}

}  // namespace dk::sparse
