// bzip2 over whole buffers: one stream out, whatever the length, its blocks compressed by several threads; and a
// decoder that hands out as much as is asked for. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/status.h"

namespace dk::bzip2 {

// Replaces `out` by one stream with blocks of 900,000 bytes. `stop` is polled between blocks; true ends the work
// with kCancelled. May throw std::bad_alloc. The same bytes on every machine, however many threads there are.
Status Compress(const uint8_t* data, size_t length, const std::function<bool()>& stop, std::vector<uint8_t>* out);

// More bytes than any stream of `length` bytes can hold: what claims to be more is a lie.
uint64_t DecodedBytesMax(uint64_t length);

// Decodes one stream piece by piece. The bytes must outlive it. Not thread-safe by itself.
class Decoder {
 public:
  // May throw std::bad_alloc.
  Decoder(const uint8_t* data, size_t length);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // The next `length` bytes, or false: the stream is damaged or shorter. Once false, always false.
  bool Read(uint8_t* out, size_t length);
  // Up to `length` bytes, fewer only at the end of the stream; false when it is damaged.
  bool ReadSome(uint8_t* out, size_t length, size_t* got);
  // Whether the stream ended, soundly, with the last byte read, and no bytes follow it.
  bool AtEnd();

 private:
  void Feed();

  const uint8_t* next_;
  size_t left_;
  struct Library;
  const std::unique_ptr<Library> library_;
  bool ended_ = false;
  bool damaged_ = false;
};

const char* Version();

}  // namespace dk::bzip2
