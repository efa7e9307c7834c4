#include "window/source_index.h"

#include <algorithm>
#include <cstring>

#include "window/rolling_hash.h"
#include "window/source_index_each.h"
#include "window/window_scan.h"

namespace dk::window {
namespace {

// Half of the slots, so that few samples find no room.
constexpr uint64_t kSamplesMax = uint64_t{1} << 22;
constexpr unsigned kSlotBitsMin = 10;
constexpr uint64_t kStepMin = 256;
constexpr uint64_t kStepUnit = 64;

uint32_t Scramble(uint32_t value) {
  value ^= value >> 16;
  value *= 0x85ebca6b;
  value ^= value >> 13;
  value *= 0xc2b2ae35;
  return value ^ (value >> 16);
}

// One byte over and over says nothing about where it comes from.
bool IsUniform(const uint8_t* at) { return memcmp(at, at + 1, kSampleBytes - 1) == 0; }

}  // namespace

SourceIndex::SourceIndex(uint64_t source_length) : source_length_(source_length) {
  const uint64_t least = (source_length + kSamplesMax - 1) / kSamplesMax;
  step_ = std::max(kStepMin, (least + kStepUnit - 1) / kStepUnit * kStepUnit);
  unsigned bits = kSlotBitsMin;
  while ((uint64_t{1} << bits) < 2 * (source_length / step_)) ++bits;
  slot_shift_ = 32 - bits;
  filter_shift_ = slot_shift_ + 2;
  const size_t slots = (size_t{1} << bits) + kProbes;
  positions_.reset(static_cast<uint32_t*>(calloc(slots, sizeof(uint32_t))));
  tags_.reset(static_cast<uint16_t*>(calloc(slots, sizeof(uint16_t))));
  filter_.reset(static_cast<uint32_t*>(calloc(size_t{1} << (bits - 2), sizeof(uint32_t))));
}

SourceIndex::Hash SourceIndex::Mix(uint32_t first, uint32_t second) { return {Scramble(first), Scramble(second)}; }

void SourceIndex::Put(Hash hash, uint64_t sample) {
  const size_t slot = hash.place >> slot_shift_;
  for (size_t i = slot; i < slot + kProbes; ++i) {
    if (positions_.get()[i] != 0) continue;
    positions_.get()[i] = static_cast<uint32_t>(sample + 1);
    tags_.get()[i] = static_cast<uint16_t>(hash.check >> 16);
    filter_.get()[hash.place >> filter_shift_] |= FilterBits(hash.check);
    return;
  }
}

void SourceIndex::Add(ByteSpan data, uint64_t offset) {
  const uint64_t end = offset + data.length;
  for (uint64_t at = (offset + step_ - 1) / step_ * step_; at + kSampleBytes <= end; at += step_) {
    const uint8_t* bytes = data.data + (at - offset);
    if (IsUniform(bytes)) continue;
    const RollingHash hash(bytes);
    Put(Mix(hash.first(), hash.second()), at / step_);
  }
}

std::vector<Range> SourceIndex::Find(const Window& window) const {
  return ChooseRanges(WindowScan(*this, window).Run(), source_length_, window.budget);
}

}  // namespace dk::window
