// The table of the gear hash: h = (h << 1) + gear[byte], so that a byte has left the 64 bits after 64 more.
// Normative: docs/format-chunking.md.
#pragma once

#include <array>
#include <cstdint>

namespace dk::chunk {

// "DiffKeep" in ASCII, most significant byte first.
constexpr uint64_t kGearSeed = 0x446966664b656570;

constexpr std::array<uint64_t, 256> MakeGear() {
  std::array<uint64_t, 256> gear{};
  uint64_t state = kGearSeed;
  for (auto& value : gear) {
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    value = z ^ (z >> 31);
  }
  return gear;
}

inline constexpr std::array<uint64_t, 256> kGear = MakeGear();

}  // namespace dk::chunk
