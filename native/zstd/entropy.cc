#include "zstd/entropy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace dk {
namespace {

constexpr size_t kPieces = 16;
constexpr size_t kPieceBytes = 1024;
// Uniform bytes measure log2(256) less a bias of 255 / (2 n ln 2) for n samples; half a percent more is allowed
// for. Compressed formats sit at 7.99, base64 at 6, machine code near 6.5.
constexpr double kNoiseBits = 7.95;

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

bool LooksIncompressible(const uint8_t* data, size_t length) {
  if (length < kPieceBytes) return false;
  uint32_t counts[256] = {};
  const size_t pieces = std::min(kPieces, length / kPieceBytes);
  // Evenly spread, the first at the front, the last at the end.
  for (size_t p = 0; p < pieces; ++p) {
    const size_t start = pieces == 1 ? 0 : (length - kPieceBytes) / (pieces - 1) * p;
    for (size_t i = 0; i < kPieceBytes; ++i) ++counts[data[start + i]];
  }
  const double total = static_cast<double>(pieces * kPieceBytes);
  double bits = 0;
  for (const uint32_t count : counts) {
    if (count > 0) bits -= count / total * std::log2(count / total);
  }
  return bits > kNoiseBits - 255 / (2 * total * 0.693147);
}

bool SharesContent(const uint8_t* target, size_t target_length, const uint8_t* context,
                   size_t context_length) {
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
