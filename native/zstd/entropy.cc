#include "zstd/entropy.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace dk {
namespace {

// A quarter of the bytes is looked at, in pieces spread evenly, up to 16 KiB.
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

}  // namespace

// Pearson's chi-square against the uniform distribution. For noise it is 255 +- 23 whatever the sample; data
// with d bits of redundancy per byte adds about 2 ln(2) n d for n samples. Noise is what stays below
// d = 0.05: compressed formats do, base64 (d = 2), machine code (1.5) and floats do not.
bool LooksIncompressible(const uint8_t* data, size_t length) {
  if (length < kJudgedFrom) return false;
  uint32_t counts[256] = {};
  const size_t pieces = std::min(kPiecesMax, length / (4 * kPieceBytes));
  for (size_t p = 0; p < pieces; ++p) {
    // The first piece at the front, the last at the end.
    const size_t start = pieces == 1 ? 0 : (length - kPieceBytes) * p / (pieces - 1);
    for (size_t i = 0; i < kPieceBytes; ++i) ++counts[data[start + i]];
  }
  const double samples = static_cast<double>(pieces * kPieceBytes);
  uint64_t squares = 0;
  for (const uint32_t count : counts) squares += uint64_t{count} * count;
  const double chi_square = static_cast<double>(squares) * 256 / samples - samples;
  // 90 is four deviations: small samples of true noise must not fail by chance.
  return chi_square < 255 + std::max(90.0, 0.05 * 2 * 0.693147 * samples);
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
