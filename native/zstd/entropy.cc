#include "zstd/entropy.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace dk {
namespace {

// A quarter of the bytes is looked at, in pieces spread evenly, up to 16 KiB.
constexpr size_t kShare = 4;
constexpr size_t kPieceBytes = 256;
constexpr size_t kPiecesMax = 64;
constexpr size_t kJudgedFrom = 1024;

// One position in 128 is a sample, chosen by the bytes themselves: a shifted copy gives the same samples.
constexpr unsigned kSampleShift = 64 - 7;

template <typename Visit>
void VisitSamples(const uint8_t* data, size_t length, Visit visit) {
  for (size_t i = 0; i + 8 <= length; ++i) {
    uint64_t word;
    memcpy(&word, data + i, sizeof word);
    const uint64_t mixed = word * 0x9e3779b97f4a7c15;
    if (mixed >> kSampleShift == 0 && mixed != 0 && !visit(mixed)) return;
  }
}

// Pearson's chi-square against the uniform distribution. For noise it is 255 +- 23 whatever the sample; data
// with d bits of redundancy per byte adds about 2 ln(2) n d for n samples.
struct Spread {
  double chi_square;
  double samples;
};

// @param share one byte in so many is looked at
Spread SpreadOf(const uint8_t* data, size_t length, size_t share) {
  uint32_t counts[256] = {};
  const size_t pieces = std::min(kPiecesMax, length / (share * kPieceBytes));
  for (size_t p = 0; p < pieces; ++p) {
    // The first piece at the front, the last at the end.
    const size_t start = pieces == 1 ? 0 : (length - kPieceBytes) * p / (pieces - 1);
    for (size_t i = 0; i < kPieceBytes; ++i) ++counts[data[start + i]];
  }
  const double samples = static_cast<double>(pieces * kPieceBytes);
  uint64_t squares = 0;
  for (const uint32_t count : counts) squares += uint64_t{count} * count;
  return {static_cast<double>(squares) * 256 / samples - samples, samples};
}

// Four deviations: small samples of true noise must not fail by chance.
constexpr double kMean = 255;
constexpr double kChance = 90;

bool IsFlat(const Spread& spread) {
  return spread.chi_square < kMean + std::max(kChance, 0.05 * 2 * 0.693147 * spread.samples);
}

// Places that begin with one of these bytes are samples: a hundredth of noise.
constexpr uint8_t kMarks[] = {0x1d, 0x53, 0xa6, 0xe8};
constexpr size_t kRepeatSlots = 1024;

// Whether one of some 8-byte strings comes again.
bool Repeats(const uint8_t* data, size_t length) {
  uint32_t slots[kRepeatSlots] = {};  // place of the last one with this hash, and one
  for (const uint8_t mark : kMarks) {
    for (size_t at = 0; at + 8 <= length; ++at) {
      const void* const found = memchr(data + at, mark, length - 7 - at);
      if (found == nullptr) break;
      at = static_cast<size_t>(static_cast<const uint8_t*>(found) - data);
      uint64_t word;
      memcpy(&word, data + at, sizeof word);
      uint32_t& slot = slots[word * 0x9e3779b97f4a7c15 >> 54];
      if (slot != 0 && memcmp(data + slot - 1, data + at, sizeof word) == 0) return true;
      slot = static_cast<uint32_t>(at + 1);
    }
  }
  return false;
}

}  // namespace

// Noise is what stays below d = 0.05: compressed formats do, base64 (d = 2), machine code (1.5) and floats do not.
bool LooksIncompressible(const uint8_t* data, size_t length) {
  return length >= kJudgedFrom && IsFlat(SpreadOf(data, length, kShare));
}

bool LooksLikeNoise(const uint8_t* data, size_t length) {
  if (length < kJudgedFrom || length > UINT32_MAX) return false;
  const Spread spread = SpreadOf(data, length, 1);
  // What is more even than chance would have it was counted up.
  return spread.chi_square > kMean - kChance && IsFlat(spread) && !Repeats(data, length);
}

bool SharesContent(const uint8_t* target, size_t target_length, const uint8_t* context, size_t context_length) {
  // Open addressing, zero is empty. A full table (a target unlike noise after all) means: do not judge.
  size_t slots = 64;
  while (slots < target_length / 32) slots *= 2;
  std::vector<uint64_t> table(slots);
  const auto slot_of = [&](uint64_t mixed) {
    size_t slot = (mixed >> 16) & (slots - 1);
    while (table[slot] != 0 && table[slot] != mixed) slot = (slot + 1) & (slots - 1);
    return slot;
  };
  size_t used = 0;
  VisitSamples(target, target_length, [&](uint64_t mixed) {
    uint64_t& entry = table[slot_of(mixed)];
    used += entry == 0;
    entry = mixed;
    return used < slots / 2;
  });
  bool shared = used >= slots / 2;
  if (shared) return true;
  VisitSamples(context, context_length, [&](uint64_t mixed) {
    shared = table[slot_of(mixed)] != 0;
    return !shared;
  });
  return shared;
}

}  // namespace dk
