// Where is the rest of the target most likely? First on the diagonal of the last copy from the source, and on that of
// the last long one: state that changes in place, and code that moved as a whole, differ by a few bytes and go on, and
// what stands in between may be found anywhere, a few bytes at a time. Then in the window itself, a few bytes back.
// Then anywhere in the source, through an index of blocks. The longest wins; a match that turns out to reach back over
// shorter ones takes their place.
#include "xdelta/vcdiff_match.h"

#include <algorithm>

namespace dk::vcdiff {
namespace {

// Slots of the index, 4 bytes each: a source of more than 64 MiB has its blocks further apart.
constexpr size_t kSlotsMax = size_t{1} << 25;
constexpr unsigned kLocalBits = 18;
// A copy costs about three bytes more than the bytes of a literal: shorter ones do not pay.
constexpr size_t kDiagonalMin = 4;
constexpr size_t kLocalMin = 6;
constexpr size_t kRunMin = 12;
// A copy of so many bytes from the source is no chance: its diagonal is remembered.
constexpr size_t kHomeMin = 128;
// Long enough to be taken without asking for a better one.
constexpr size_t kGoodEnough = 48;
// Bytes at the end of a copy that later matches may begin at.
constexpr size_t kRemembered = 32;
// A tail of an operation shorter than this is not worth one.
constexpr size_t kRestMin = 4;
// Bytes without a match after which the steps grow, and the longest step. Odd steps meet every block in the end.
constexpr size_t kPatience = 256;
constexpr size_t kStepMax = 15;

uint64_t Load64(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return word;
}

// How many bytes before `a` and `b` are equal, at most `length`.
size_t EqualBytesBefore(const uint8_t* a, const uint8_t* b, size_t length) {
  size_t i = 0;
  while (i < length && a[-1 - static_cast<ptrdiff_t>(i)] == b[-1 - static_cast<ptrdiff_t>(i)]) ++i;
  return i;
}

class Matcher {
 public:
  Matcher(ByteSpan source, SourceIndex* index, ByteSpan target, size_t begin, size_t end,
          std::vector<Operation>* operations)
      : source_(source),
        index_(index),
        target_(target.data),
        begin_(begin),
        end_(end),
        operations_(operations),
        local_(size_t{1} << kLocalBits, 0) {}

  void Run();

 private:
  bool FindRun(size_t at, Operation* best) const;
  bool FindOnDiagonal(size_t diagonal, size_t at, Operation* best) const;
  bool FindLocal(size_t at, Operation* best);
  bool FindInSource(size_t at, Operation* best);
  bool FindBest(size_t at, Operation* best);
  void Take(Operation operation);
  void Remember(size_t at) { local_[LocalSlot(at)] = static_cast<uint32_t>(at - begin_) + 1; }
  size_t LocalSlot(size_t at) const {
    return static_cast<size_t>((Load64(target_ + at) << 16) * 0x9e3779b97f4a7c15 >> (64 - kLocalBits));
  }

  const ByteSpan source_;
  SourceIndex* const index_;
  const uint8_t* const target_;
  const size_t begin_;
  const size_t end_;
  std::vector<Operation>* const operations_;
  std::vector<uint32_t> local_;  // offset in the window, from 1, by the hash of six bytes
  // Source position minus target position, modulo 2^64, of the last copy from the source.
  size_t diagonal_ = 0;
  // The same of the last long one.
  size_t home_ = 0;
};

bool Matcher::FindOnDiagonal(size_t diagonal, size_t at, Operation* best) const {
  const size_t position = at + diagonal;
  if (position >= source_.length) return false;
  const size_t most = std::min(end_ - at, source_.length - position);
  const size_t length = EqualBytes(source_.data + position, target_ + at, most);
  if (length < kDiagonalMin || length <= best->length) return false;
  *best = {Operation::From::kSource, at, length, position};
  return true;
}

bool Matcher::FindRun(size_t at, Operation* best) const {
  if (end_ - at < kRunMin || Load64(target_ + at) != target_[at] * 0x0101010101010101u) return false;
  const size_t length = 1 + EqualBytes(target_ + at, target_ + at + 1, end_ - at - 1);
  if (length < kRunMin || length <= best->length) return false;
  *best = {Operation::From::kRun, at, length, 0};
  return true;
}

bool Matcher::FindLocal(size_t at, Operation* best) {
  if (end_ - at < 8) return false;
  const uint32_t stored = local_[LocalSlot(at)];
  Remember(at);
  if (stored == 0) return false;
  const size_t position = begin_ + stored - 1;
  const size_t length = EqualBytes(target_ + position, target_ + at, end_ - at);
  if (length < kLocalMin || length <= best->length) return false;
  *best = {Operation::From::kTarget, at, length, position};
  return true;
}

bool Matcher::FindInSource(size_t at, Operation* best) {
  const size_t position = index_->Find(ByteSpan{target_ + at, end_ - at});
  if (position == SourceIndex::kNone) return false;
  const size_t before = EqualBytesBefore(source_.data + position, target_ + at, std::min(at - begin_, position));
  const size_t after =
      EqualBytes(source_.data + position, target_ + at, std::min(end_ - at, source_.length - position));
  if (after + before <= best->length) return false;
  *best = {Operation::From::kSource, at - before, before + after, position - before};
  return true;
}

bool Matcher::FindBest(size_t at, Operation* best) {
  *best = {};
  bool found = FindOnDiagonal(diagonal_, at, best);
  if (home_ != diagonal_) found = FindOnDiagonal(home_, at, best) || found;
  if (found && best->length >= kGoodEnough) return true;
  found = FindRun(at, best) || found;
  found = FindLocal(at, best) || found;
  if (found && best->length >= kGoodEnough) return true;
  return FindInSource(at, best) || found;
}

// Appends an operation; what it covers of earlier ones is taken back from them.
void Matcher::Take(Operation operation) {
  while (!operations_->empty()) {
    Operation& last = operations_->back();
    if (last.target + last.length <= operation.target) break;
    const size_t kept = operation.target > last.target ? operation.target - last.target : 0;
    if (kept >= kRestMin) {
      last.length = kept;
      break;
    }
    operations_->pop_back();
  }
  // Bytes before it that were literals may belong to it too.
  if (operation.from == Operation::From::kSource) {
    const size_t floor = operations_->empty() ? begin_ : operations_->back().target + operations_->back().length;
    const size_t before = EqualBytesBefore(source_.data + operation.address, target_ + operation.target,
                                           std::min(operation.target - floor, operation.address));
    operation.target -= before;
    operation.address -= before;
    operation.length += before;
    diagonal_ = operation.address - operation.target;
    if (operation.length >= kHomeMin) home_ = diagonal_;
  }
  operations_->push_back(operation);
}

void Matcher::Run() {
  size_t at = begin_;
  size_t missed = 0;
  while (at < end_) {
    Operation best;
    if (!FindBest(at, &best)) {
      const size_t step = std::min(kStepMax, missed / kPatience * 2 + 1);
      missed += step;
      at += step;
      continue;
    }
    missed = 0;
    // A literal more may make room for something longer.
    for (Operation later; best.length < kGoodEnough && at + 1 < end_ && FindBest(at + 1, &later); best = later, ++at) {
      if (later.length <= best.length + 1) break;
    }
    Take(best);
    const size_t next = best.target + best.length;
    for (size_t i = next - std::min(best.length, kRemembered); i < next && end_ - i >= 8; ++i) Remember(i);
    at = next;
  }
}

}  // namespace

size_t SourceIndex::Table::SlotOf(const uint8_t* block) const {
  uint64_t mixed = Load64(block) * 0x9e3779b97f4a7c15 + Load64(block + block_bytes - 8) * 0xc2b2ae3d27d4eb4f;
  for (size_t i = 8; i + 8 < block_bytes; i += 8)
    mixed = (mixed ^ mixed >> 32) * 0x9fb21c651e98df25 + Load64(block + i);
  return static_cast<size_t>((mixed ^ mixed >> 29) * 0x165667b19e3779f9 >> shift);
}

void SourceIndex::Table::Build(ByteSpan source) {
  while (source.length / stride > kSlotsMax / 2) stride *= 2;
  const size_t blocks = source.length / stride;
  unsigned bits = 8;
  while ((size_t{1} << bits) < blocks * 2) ++bits;
  shift = 64 - bits;
  slots.assign(size_t{1} << bits, 0);
  // From the end, so that the first of equal blocks stays: its match is the longest.
  for (size_t i = blocks; i-- > 0;) {
    if (i * stride + block_bytes > source.length) continue;
    slots[SlotOf(source.data + i * stride)] = static_cast<uint32_t>(i) + 1;
  }
}

size_t SourceIndex::Table::Find(ByteSpan source, const uint8_t* wanted) const {
  const uint32_t block = slots[SlotOf(wanted)];
  if (block == 0) return kNone;
  const size_t position = (block - 1) * stride;
  return memcmp(source.data + position, wanted, block_bytes) == 0 ? position : kNone;
}

size_t SourceIndex::Find(ByteSpan wanted) {
  if (!built_.load(std::memory_order_acquire)) {
    std::lock_guard<std::mutex> lock(building_);
    if (!built_.load(std::memory_order_relaxed)) {
      short_.Build(source_);
      long_.Build(source_);
    }
    built_.store(true, std::memory_order_release);
  }
  if (wanted.length >= kLongBytes) {
    const size_t position = long_.Find(source_, wanted.data);
    if (position != kNone) return position;
  }
  return wanted.length >= kBlockBytes ? short_.Find(source_, wanted.data) : kNone;
}

void MatchWindow(ByteSpan source, SourceIndex* index, ByteSpan target, size_t begin, size_t end,
                 std::vector<Operation>* operations) {
  operations->clear();
  Matcher(source, index, target, begin, end, operations).Run();
}

}  // namespace dk::vcdiff
