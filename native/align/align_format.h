// What the encoder and the decoder of a payload must agree on; normative text in docs/format-align.md.
//
//   payload  := form u8, body
//   form 1   : whole. body := frame                      the target, with the whole source as prefix
//   form 2   : windows. body := window*                  until the target is full
//   window   := varint targetLength, flags u8, varint copyCount, numbers, diffs, literals
//   stream   := varint length, [varint storedLength, bytes]   storedLength 0: the bytes themselves
//
// A frame is a zstd frame without its magic number.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/status.h"
#include "common/varint.h"
#include "zstd/zstd_face.h"

namespace dk::align {

constexpr uint8_t kFormWhole = 1;
constexpr uint8_t kFormWindows = 2;
// Source and target of form 1, each; a decoder needs a window of both together.
constexpr size_t kWholeBytesMax = size_t{64} << 20;
constexpr size_t kWindowBytesMax = size_t{64} << 20;

constexpr uint8_t kFlagJoined = 1;   // the number columns are one stream
constexpr uint8_t kFlagContext = 2;  // the literals have a context
constexpr uint8_t kFlagRuns = 4;     // the columns of difference runs are there
constexpr uint8_t kFlagsKnown = 7;

// Columns of numbers, in the order in which they are stored: four with a varint per copy, one with a byte per
// difference run, one with the varints that did not fit such a byte.
enum Column : size_t { kLiteralLength, kCopyLength, kDiagonal, kRunCount, kRunToken, kRunExtra, kColumns };

// A token: low six bits for the distance from the end of the run before (or the copy's begin), high two for the
// length - 1. The highest value of each says that the rest is the next number among the extras, distance first.
constexpr uint64_t kTokenGapMax = 63;
constexpr uint64_t kTokenLengthMax = 3;

// Bytes of the difference runs: the first of each run, the second, all others. A run is one number, lowest byte first:
// addresses that moved by the same distance differ by the same bytes, whatever the carries in between.
enum Difference : size_t { kFirst, kSecond, kOthers, kDifferences };

// No number is larger, so that every language can hold it.
constexpr uint64_t kNumberMax = (uint64_t{1} << 53) - 1;

constexpr size_t kMagicBytes = 4;

// All number columns of a window together.
inline uint64_t NumberBytesMax(uint64_t target_length) { return 2 * target_length + 64; }

inline uint64_t ZigZag(int64_t value) { return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63); }
inline int64_t UnZigZag(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }

// Gathers the source bytes around the gaps between copies: what literals probably resemble.
class ContextGatherer {
 public:
  // `literal_length` is that of the whole window.
  ContextGatherer(zstd::Span source, uint64_t literal_length)
      : source_(source), left_(std::min<uint64_t>(4 * literal_length + (64 << 10), 32 << 20)) {
    bytes_.reserve(static_cast<size_t>(std::min<uint64_t>(left_, source.length)));
  }

  // A gap of `length` > 0 literal bytes. `before` is the source position behind the copy in front of it and `after`
  // that of the copy behind it, or kNone.
  void Add(uint64_t length, uint64_t before, uint64_t after);

  static constexpr uint64_t kNone = ~uint64_t{0};
  std::vector<uint8_t> TakeBytes() { return std::move(bytes_); }

 private:
  void Append(uint64_t begin, uint64_t end);

  const zstd::Span source_;
  uint64_t left_;
  uint64_t last_begin_ = 0;
  uint64_t last_end_ = 0;
  std::vector<uint8_t> bytes_;
};

// Appends a stream. `context` may be empty; level 0 stores the bytes as they are.
Status PutStream(zstd::Span data, zstd::Span context, int level, const std::function<bool()>& stop,
                 std::vector<uint8_t>* out);

// Reads a stream of at most `length_max` bytes, without allocating for more. False when it is damaged.
bool TakeStream(Reader* reader, uint64_t length_max, zstd::Span context, std::vector<uint8_t>* data);

// Appends a frame without its magic number.
Status PutFrame(zstd::Span data, zstd::Span context, int level, const std::function<bool()>& stop,
                std::vector<uint8_t>* out);

// Decodes such a frame into exactly `length` bytes.
bool TakeFrame(zstd::Span frame, zstd::Span context, uint8_t* out, size_t length);

}  // namespace dk::align
