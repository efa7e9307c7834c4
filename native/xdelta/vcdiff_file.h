// Numbers, code table and address cache of VCDIFF, shared by the two directions.
//
//   file   := D6 C3 C4 00 | indicator | [compressor id] | [code table] | [application header] | window*
//   window := indicator | [segment length | segment position] | length of the rest |
//             target length | delta indicator | three section lengths | [Adler-32, big-endian] |
//             data | instructions | addresses
//
// Numbers have seven bits per byte, highest first, and the top bit set on all bytes but the last.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/byte_span.h"

namespace dk::vcdiff {

constexpr uint8_t kMagic[4] = {0xd6, 0xc3, 0xc4, 0x00};
// File indicator.
constexpr uint8_t kSecondary = 1;
constexpr uint8_t kCodeTable = 2;
constexpr uint8_t kApplicationHeader = 4;
// Window indicator.
constexpr uint8_t kFromSource = 1;
constexpr uint8_t kFromTarget = 2;
constexpr uint8_t kChecksum = 4;

enum class Kind : uint8_t { kNoop, kAdd, kRun, kCopy };

// Half of an instruction code. Size 0 means that the size follows in the instructions.
struct Half {
  Kind kind;
  uint8_t size;
  uint8_t mode;  // of a copy's address
};
struct Code {
  Half first;
  Half second;
};

// Section 5.6 of the RFC.
const std::array<Code, 256>& DefaultCodes();

// Single codes by what they stand for; sizes that have no code of their own take the one with size 0.
constexpr unsigned kRunCode = 0;
constexpr unsigned kAddSizeMax = 17;
constexpr unsigned kCopySizeMin = 4;
constexpr unsigned kCopySizeMax = 18;
inline unsigned AddCode(uint64_t size) { return size <= kAddSizeMax ? 1 + static_cast<unsigned>(size) : 1; }
inline unsigned CopyCode(uint64_t size, unsigned mode) {
  const bool own = size >= kCopySizeMin && size <= kCopySizeMax;
  return 19 + 16 * mode + (own ? static_cast<unsigned>(size) - 3 : 0);
}

// Addresses used before, section 5.1. Start over with every window.
class AddressCache {
 public:
  static constexpr unsigned kNear = 4;
  static constexpr unsigned kSame = 3;
  static constexpr unsigned kModes = 2 + kNear + kSame;
  static constexpr unsigned kFirstNear = 2;
  static constexpr unsigned kFirstSame = 2 + kNear;

  uint64_t near(unsigned mode) const { return near_[mode - kFirstNear]; }
  uint64_t same(unsigned mode, uint8_t byte) const { return same_[(mode - kFirstSame) * 256 + byte]; }
  // Whether `address` can be written with one byte, its lowest in the slot.
  bool HasSame(uint64_t address, unsigned* mode, uint8_t* byte) const {
    const size_t slot = static_cast<size_t>(address % same_.size());
    if (same_[slot] != address) return false;
    *mode = kFirstSame + static_cast<unsigned>(slot / 256);
    *byte = static_cast<uint8_t>(slot % 256);
    return true;
  }
  void Update(uint64_t address) {
    near_[next_] = address;
    next_ = (next_ + 1) % kNear;
    same_[static_cast<size_t>(address % same_.size())] = address;
  }

 private:
  std::array<uint64_t, kNear> near_{};
  std::array<uint64_t, kSame * 256> same_{};
  unsigned next_ = 0;
};

uint32_t Adler32(const uint8_t* data, size_t length);

// Reads from bytes it does not own, never beyond them.
class Input {
 public:
  Input() = default;
  explicit Input(ByteSpan bytes) : at_(bytes.data), end_(bytes.data + bytes.length) {}

  uint64_t left() const { return static_cast<uint64_t>(end_ - at_); }
  bool Byte(uint8_t* value) {
    if (at_ == end_) return false;
    *value = *at_++;
    return true;
  }
  // False when the bytes end early or the number passes 63 bits.
  bool Number(uint64_t* value) {
    uint64_t result = 0;
    uint8_t byte;
    do {
      if (result >> 56 != 0 || !Byte(&byte)) return false;
      result = result << 7 | (byte & 0x7f);
    } while (byte >= 0x80);
    *value = result;
    return true;
  }
  bool Take(uint64_t length, ByteSpan* taken) {
    if (length > left()) return false;
    *taken = {at_, static_cast<size_t>(length)};
    at_ += length;
    return true;
  }

 private:
  const uint8_t* at_ = nullptr;
  const uint8_t* end_ = nullptr;
};

}  // namespace dk::vcdiff
