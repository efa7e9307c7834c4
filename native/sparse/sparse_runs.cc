#include "sparse/sparse_runs.h"

#include <algorithm>
#include <cstring>

#include "xor/xor_scan.h"

namespace dk::sparse {
namespace {

// Stands for a source that has ended; never written.
uint8_t g_zeros[RunList::kCompareMax];

// Runs of single bytes at one distance that are looked for as such from then on, and those after which a distance that
// was looked for already is looked for again.
constexpr uint32_t kRegularRuns = 64;
constexpr uint32_t kRegularAgain = 2;
// Where something regular has broken off, it mostly goes on soon.
constexpr size_t kBrokenBlocks = 1;
// Other distances may come after every few runs: what they are compared with is made no oftener.
constexpr size_t kRunsBetween = 8192;
constexpr uint16_t kNone = 0xffff;

}  // namespace

void RunRoom::Reserve(size_t count, size_t used) {
  if (count <= count_) return;
  const size_t more = std::max(count, 2 * count_);
  Run* const runs = reinterpret_cast<Run*>(TakeMemory(more * sizeof(Run)));
  if (used > 0) memcpy(runs, runs_, used * sizeof(Run));
  Give();
  runs_ = runs;
  count_ = more;
}

inline void RunList::Push(uint32_t skip, uint32_t length) {
  ++count_;
  Run* const runs = runs_.data();
  if (used_ > 0 && runs[used_ - 1].skip == skip && runs[used_ - 1].length == length)
    ++runs[used_ - 1].count;
  else
    runs[used_++] = {skip, length, 1};
}

inline void RunList::Add(size_t start, size_t length) {
  changed_ += length;
  const size_t gap = start - end_;
  end_ = start + length;
  if (gap >= gap_min_ || used_ == 0) {
    Push(static_cast<uint32_t>(gap), static_cast<uint32_t>(length));
    return;
  }
  // The equal bytes in between count as changed; two runs that touch are one run in any case.
  changed_ += gap;
  Run* const runs = runs_.data();
  const Run last = runs[used_ - 1];
  if (last.count > 1)
    --runs[used_ - 1].count;
  else
    --used_;
  --count_;
  Push(last.skip, static_cast<uint32_t>(last.length + gap + length));
}

bool RegularMasks::Has(size_t skip, size_t offset) const { return skip == skip_ && block_of_[offset] != kNone; }

const uint64_t* RegularMasks::From(size_t skip, size_t offset, size_t runs) {
  const size_t step = skip + 1;
  if (Has(skip, offset)) return masks_.data() + block_of_[offset];
  if (runs < next_) return nullptr;
  next_ = runs + kRunsBetween;
  // Offsets come again after as many blocks as the step has bytes, at the latest.
  const size_t blocks = step + RunList::kCompareMax / kBlock;
  skip_ = skip;
  masks_.assign(blocks, 0);
  block_of_.assign(step, kNone);
  size_t at = offset;
  for (size_t block = 0; block < blocks; ++block) {
    if (block_of_[at] == kNone && block < step) block_of_[at] = static_cast<uint16_t>(block);
    for (; at < kBlock; at += step) masks_[block] |= uint64_t{1} << at;
    at -= kBlock;
  }
  return masks_.data();
}

// Blocks that go on with single bytes at the distance of the ones before: nothing is looked at but whether they do.
size_t RunList::Follow(const uint64_t* masks, size_t base, size_t blocks) {
  if (used_ == 0) return 0;
  Run& last = runs_.data()[used_ - 1];
  if (last.count < kRegularAgain || last.length != 1 || last.skip == 0 || last.skip > RegularMasks::kSkipMax) return 0;
  const size_t next = end_ + last.skip;
  const size_t step = size_t{last.skip} + 1;
  if (next < base || next - base >= step) return 0;
  if (last.count < kRegularRuns && !regular_.Has(last.skip, next - base)) return 0;
  const uint64_t* const regular = regular_.From(last.skip, next - base, count_);
  if (regular == nullptr) return 0;
  const auto* const wanted = reinterpret_cast<const uint8_t*>(regular);
  const auto* const found = reinterpret_cast<const uint8_t*>(masks);
  const size_t same = xordelta::EqualPrefix(found, wanted, blocks * sizeof *masks) / sizeof *masks;
  if (next - base >= same * kBlock) return same;
  const size_t points = (same * kBlock - 1 - (next - base)) / step + 1;
  last.count += static_cast<uint32_t>(points);
  count_ += points;
  changed_ += points;
  end_ = next + (points - 1) * step + 1;
  return same;
}

// What the loop needs is held in registers, and there are no guesses in it: whether a run is like the one before cannot
// be told ahead where changes are scattered.
void RunList::Exact(const uint64_t* masks, size_t base, size_t blocks) {
  uint16_t firsts[kBoundsRoom], lasts[kBoundsRoom];
  const size_t count = kernels_.bounds(masks, blocks, firsts, lasts);
  if (count == 0) return;
  // It may go on with the run before.
  Add(base + firsts[0], size_t{lasts[0]} + 1 - firsts[0]);
  Run* out = runs_.data() + used_;
  Run last = out[-1];
  uint32_t end = uint32_t{lasts[0]} + 1;
  size_t changed = 0;
  for (size_t i = 1; i < count; ++i) {
    const uint32_t skip = firsts[i] - end;
    end = uint32_t{lasts[i]} + 1;
    const uint32_t length = end - firsts[i];
    const uint32_t same = static_cast<uint32_t>(skip == last.skip) & static_cast<uint32_t>(length == last.length);
    out[-1].count += same;
    *out = {skip, length, 1};
    out += 1 - same;
    last.skip = skip;
    last.length = length;
    changed += length;
  }
  used_ = static_cast<size_t>(out - runs_.data());
  count_ += count - 1;
  changed_ += changed;
  end_ = base + end;
}

inline void RunList::Bits(uint64_t mask, size_t base) {
  while (mask != 0) {
    const unsigned first = static_cast<unsigned>(__builtin_ctzll(mask));
    const uint64_t rest = ~(mask >> first);
    const unsigned length = rest == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(rest));
    Add(base + first, length);
    if (first + length >= 64) return;
    mask &= ~uint64_t{0} << (first + length);
  }
}

void RunList::Blocks(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks) {
  uint64_t masks[kCompareMax / kBlock];
  if (sink_ != nullptr)
    sink_->Take(source, target, blocks, masks);
  else
    kernels_.masks(source, target, blocks, masks);
  for (size_t block = 0; block < blocks;) {
    const size_t at = base + block * kBlock;
    if (gap_min_ > 1) {
      if (masks[block] != 0) Bits(masks[block], at);
      ++block;
      continue;
    }
    const size_t regular = Follow(masks + block, at, blocks - block);
    block += regular;
    if (regular > 0) {
      exact_blocks_ = kBrokenBlocks;
      continue;
    }
    const size_t some = std::min(blocks - block, exact_blocks_);
    Exact(masks + block, at, some);
    block += some;
    exact_blocks_ = std::min(2 * exact_blocks_, kBoundsMax);
  }
}

bool RunList::Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length) {
  const uint8_t* from = source == nullptr ? g_zeros : source;
  // Long equal stretches go by at the speed of memory.
  const size_t same = xordelta::EqualPrefix(from, target, length);
  if (same == length) return false;
  // At most every other byte begins a run; one more is written ahead.
  runs_.Reserve(used_ + length / 2 + 2, used_);
  const size_t first = same / kBlock * kBlock;
  const size_t whole = length / kBlock * kBlock;
  if (first < whole) Blocks(from + first, target + first, base + first, (whole - first) / kBlock);
  if (whole < length) {
    // A block of its own, equal beyond the end.
    uint8_t last[2][kBlock] = {};
    memcpy(last[0], from + whole, length - whole);
    memcpy(last[1], target + whole, length - whole);
    Blocks(last[0], last[1], base + whole, 1);
  }
  return true;
}

}  // namespace dk::sparse
