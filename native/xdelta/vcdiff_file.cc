#include "xdelta/vcdiff_file.h"

#include <algorithm>

namespace dk::vcdiff {
namespace {

constexpr uint32_t kAdlerModulus = 65521;
// Bytes summed before a 64-bit sum could overflow by far; a multiple of the step.
constexpr size_t kAdlerPiece = size_t{1} << 16;
constexpr size_t kAdlerStep = 32;

std::array<Code, 256> MakeCodes() {
  constexpr Half none = {Kind::kNoop, 0, 0};
  std::array<Code, 256> codes{};
  size_t next = 0;
  const auto put = [&](Half first, Half second) { codes[next++] = {first, second}; };
  const auto add = [](unsigned size) { return Half{Kind::kAdd, static_cast<uint8_t>(size), 0}; };
  const auto copy = [](unsigned size, unsigned mode) {
    return Half{Kind::kCopy, static_cast<uint8_t>(size), static_cast<uint8_t>(mode)};
  };
  put({Kind::kRun, 0, 0}, none);
  for (unsigned size = 0; size <= kAddSizeMax; ++size) put(add(size), none);
  for (unsigned mode = 0; mode < AddressCache::kModes; ++mode) {
    put(copy(0, mode), none);
    for (unsigned size = kCopySizeMin; size <= kCopySizeMax; ++size) put(copy(size, mode), none);
  }
  for (unsigned mode = 0; mode < AddressCache::kModes; ++mode) {
    const unsigned longest = mode < AddressCache::kFirstSame ? 6 : 4;
    for (unsigned size = 1; size <= 4; ++size) {
      for (unsigned copied = kCopySizeMin; copied <= longest; ++copied) put(add(size), copy(copied, mode));
    }
  }
  for (unsigned mode = 0; mode < AddressCache::kModes; ++mode) put(copy(4, mode), add(1));
  return codes;
}

}  // namespace

const std::array<Code, 256>& DefaultCodes() {
  static const std::array<Code, 256> codes = MakeCodes();
  return codes;
}

uint32_t Adler32(const uint8_t* data, size_t length) {
  uint64_t a = 1, b = 0;
  while (length > 0) {
    const size_t piece = std::min(length, kAdlerPiece);
    size_t i = 0;
    for (; i + kAdlerStep <= piece; i += kAdlerStep) {
      uint32_t sum = 0, weighted = 0;
      for (size_t k = 0; k < kAdlerStep; ++k) {
        sum += data[i + k];
        weighted += static_cast<uint32_t>(kAdlerStep - k) * data[i + k];
      }
      b += a * kAdlerStep + weighted;
      a += sum;
    }
    for (; i < piece; ++i) {
      a += data[i];
      b += a;
    }
    a %= kAdlerModulus;
    b %= kAdlerModulus;
    data += piece;
    length -= piece;
  }
  return static_cast<uint32_t>(b << 16 | a);
}

}  // namespace dk::vcdiff
