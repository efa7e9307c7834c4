#include "sparse/sparse_scan.h"

#include <algorithm>
#include <cstring>

#include "xor/xor_scan.h"

namespace dk::sparse {
namespace {

// Runs of single bytes at one distance that are looked for as such from then on, and those after which a distance that
// was looked for already is looked for again.
constexpr uint32_t kRegularRuns = 64;
constexpr uint32_t kRegularAgain = 2;
// Where something regular has broken off, it mostly goes on soon.
constexpr size_t kBrokenBlocks = 1;
// Other distances may come after every few runs: what they are compared with is made no oftener.
constexpr size_t kRunsBetween = 8192;
constexpr uint16_t kNone = 0xffff;
// Equal bytes that a group may begin with, to be gone through again while it is hashed.
constexpr size_t kSummedSame = 16 << 10;

}  // namespace

const uint8_t kZeros[65536] = {};

bool RegularMasks::Has(size_t skip, size_t offset) const { return skip == skip_ && block_of_[offset] != kNone; }

const uint64_t* RegularMasks::From(size_t skip, size_t offset, size_t runs) {
  const size_t step = skip + 1;
  if (Has(skip, offset)) return masks_.data() + block_of_[offset];
  if (runs < next_) return nullptr;
  next_ = runs + kRunsBetween;
  // Offsets come again after as many blocks as the step has bytes, at the latest.
  const size_t blocks = step + RunScan::kCompareMax / kBlock;
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
size_t RunScan::Follow(const uint64_t* masks, size_t base, size_t blocks) {
  if (last_.count < kRegularAgain || last_.extra != 0 || last_.skip == 0) return 0;
  if (last_.skip > RegularMasks::kSkipMax) return 0;
  const size_t next = end_ + last_.skip;
  const size_t step = size_t{last_.skip} + 1;
  if (next < base || next - base >= step) return 0;
  if (last_.count < kRegularRuns && !regular_.Has(last_.skip, next - base)) return 0;
  const uint64_t* const regular = regular_.From(last_.skip, next - base, count_);
  if (regular == nullptr) return 0;
  const auto* const wanted = reinterpret_cast<const uint8_t*>(regular);
  const auto* const found = reinterpret_cast<const uint8_t*>(masks);
  const size_t same = xordelta::EqualPrefix(found, wanted, blocks * sizeof *masks) / sizeof *masks;
  if (next - base >= same * kBlock) return same;
  const size_t points = (same * kBlock - 1 - (next - base)) / step + 1;
  last_.count += points;
  count_ += points;
  end_ = next + (points - 1) * step + 1;
  return same;
}

void RunScan::Exact(const uint64_t* masks, size_t base, size_t blocks) {
  // One place in front is for a run that was not handed over yet.
  uint32_t skips[kHandedMax], extras[kHandedMax];
  size_t end;
  const size_t found = kernels_.runs(masks, blocks, skips + 1, extras + 1, &end);
  if (found == 0) return;
  skips[1] += static_cast<uint32_t>(base - end_);
  end_ = base + end;
  count_ += found;
  size_t at = 1;
  if (skips[1] == 0 && last_.count > 0) {
    // It goes on with the run before.
    if (last_.count > 1) runs_->Equal(last_.skip, last_.extra, last_.count - 1);
    last_ = {last_.skip, last_.extra + 1 + extras[1], 1};
    --count_;
    ++at;
  }
  while (at <= found && last_.count > 0 && skips[at] == last_.skip && extras[at] == last_.extra) {
    ++last_.count;
    ++at;
  }
  if (at > found) return;
  size_t tail = found;
  while (tail > at && skips[tail - 1] == skips[found] && extras[tail - 1] == extras[found]) --tail;
  if (last_.count > 1) {
    runs_->Equal(last_.skip, last_.extra, last_.count);
  } else if (last_.count == 1) {
    --at;
    skips[at] = last_.skip;
    extras[at] = last_.extra;
  }
  if (tail > at) runs_->Singles(skips + at, extras + at, tail - at);
  last_ = {skips[found], extras[found], found + 1 - tail};
}

void RunScan::Finish() {
  if (last_.count > 0) runs_->Equal(last_.skip, last_.extra, last_.count);
  last_.count = 0;
}

void RunScan::Blocks(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks) {
  uint64_t masks[kCompareMax / kBlock];
  values_->Take(source, target, base, blocks, masks, nullptr);
  Look(masks, base, blocks);
}

// Where the changes are.
void RunScan::Look(const uint64_t* masks, size_t base, size_t blocks) {
  for (size_t block = 0; runs_ != nullptr && block < blocks;) {
    const size_t at = base + block * kBlock;
    const size_t regular = Follow(masks + block, at, blocks - block);
    block += regular;
    if (regular > 0) {
      exact_blocks_ = kBrokenBlocks;
      continue;
    }
    const size_t some = std::min(blocks - block, exact_blocks_);
    Exact(masks + block, at, some);
    block += some;
    exact_blocks_ = std::min(2 * exact_blocks_, kRunBlocksMax);
  }
}

bool RunScan::Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length, GroupSums* sums) {
  const uint8_t* from = source == nullptr ? kZeros : source;
  // Long equal stretches go by at the speed of memory.
  const size_t same = xordelta::EqualPrefix(from, target, length);
  if (same == length) return false;
  const size_t first = same / kBlock * kBlock;
  const size_t whole = length / kBlock * kBlock;
  if (sums != nullptr && length == kCompareMax && same < kSummedSame) {
    uint64_t masks[kCompareMax / kBlock];
    values_->Take(from, target, base, kCompareMax / kBlock, masks, sums);
    // From where it would begin without sums: runs are handed over in the same pieces.
    Look(masks + first / kBlock, base + first, (whole - first) / kBlock);
    return true;
  }
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
