// zstd in one shot, over whole buffers, with older bytes as prefix or a trained dictionary.
// Contexts are kept per thread. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "common/byte_span.h"
#include "common/status.h"

namespace dk::zstd {

using Span = ByteSpan;

struct Settings {
  int level = 3;               // 1 .. 19
  Span context;                // raw bytes that the decoder will have too
  Span dictionary;             // trained dictionary (or raw content, which has the same effect); not with a context
  bool long_distance = false;  // matches far apart in a long input, as with a context
  int window_log = 0;          // matches reach back 2^this bytes at most; 0: as the level and the context want it
  // Polled every few MiB of a long input; true ends the work with kCancelled.
  std::function<bool()> stop;
};

// Room that Compress may need for `length` bytes; 0 when no frame can hold them.
size_t Bound(size_t length);

// Writes one frame with its content size and without a checksum. kMemory when it
// does not fit `capacity` (which may be below the bound on purpose) or memory is short.
Status Compress(Span source, const Settings& settings, uint8_t* out, size_t capacity, size_t* written);

// One frame of `length` (at least 1) bytes that are all the same: four bytes for each 128 KiB of them. `out` has room
// for RepeatRoom(length). Returns how many were written.
size_t RepeatRoom(size_t length);
size_t CompressRepeat(uint8_t byte, size_t length, uint8_t* out);

// Writes one frame without matches: entropy coding alone, at about the speed of counting the bytes. As `Compress` else.
Status CompressLiterals(Span source, uint8_t* out, size_t capacity, size_t* written);

// Decodes exactly one frame that fills exactly `length` bytes at `out`, else kCorrupt.
Status Decompress(Span frame, Span context, Span dictionary, uint8_t* out, size_t length);

// Decodes exactly one frame of `length` bytes, a block after the other, in memory for its window and two blocks (never
// more than for all of it). `take` gets the bytes in order, which stay until it returns; false ends the work, and what
// follows is not looked at then. kCorrupt for every other frame, and for one that does not declare its length.
Status Stream(Span frame, size_t length, const std::function<bool(Span)>& take);

// Content size that the one frame in `frame` declares; false when it declares none,
// the header is damaged or other bytes follow the frame.
bool ContentSize(Span frame, uint64_t* size);

// Whether other decoders would take these bytes for a trained dictionary instead of plain
// older bytes: they start with the dictionary magic number.
bool LooksLikeDictionary(Span context);

const char* Version();

}  // namespace dk::zstd
