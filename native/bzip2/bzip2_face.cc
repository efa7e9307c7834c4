#include "bzip2/bzip2_face.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "bzip2/vendor/bzlib.h"

// The library calls this when it finds its own state broken, which damaged input cannot bring about.
extern "C" void bz_internal_error(int) { abort(); }

namespace dk::bzip2 {
namespace {

// The library counts in unsigned int.
constexpr size_t kPieceMax = size_t{1} << 30;
// Decoded bytes of one block at most: 900,000 bytes of five that stand for a run of 259.
constexpr uint64_t kBlockBytesMax = 900000 / 5 * 259;
// Coded bytes of one block at least: its header, a code table for two symbols, one selector.
constexpr uint64_t kBlockCodedMin = 24;

}  // namespace

struct Decoder::Library {
  bz_stream stream = {};
};

uint64_t DecodedBytesMax(uint64_t length) { return (length / kBlockCodedMin + 1) * kBlockBytesMax; }

Decoder::Decoder(const uint8_t* data, size_t length) : next_(data), left_(length), library_(new Library()) {
  if (BZ2_bzDecompressInit(&library_->stream, 0, 0) != BZ_OK) throw std::bad_alloc();
}

Decoder::~Decoder() { BZ2_bzDecompressEnd(&library_->stream); }

void Decoder::Feed() {
  if (library_->stream.avail_in > 0 || left_ == 0) return;
  const size_t piece = std::min(left_, kPieceMax);
  library_->stream.next_in = const_cast<char*>(reinterpret_cast<const char*>(next_));
  library_->stream.avail_in = static_cast<unsigned int>(piece);
  next_ += piece;
  left_ -= piece;
}

bool Decoder::ReadSome(uint8_t* out, size_t length, size_t* got) {
  *got = 0;
  while (!damaged_ && !ended_ && *got < length) {
    Feed();
    const size_t room = std::min(length - *got, kPieceMax);
    library_->stream.next_out = reinterpret_cast<char*>(out) + *got;
    library_->stream.avail_out = static_cast<unsigned int>(room);
    const unsigned int fed = library_->stream.avail_in;
    const int result = BZ2_bzDecompress(&library_->stream);
    const size_t made = room - library_->stream.avail_out;
    *got += made;
    ended_ = result == BZ_STREAM_END;
    // No progress means that the stream is cut off.
    damaged_ = !ended_ && (result != BZ_OK || (made == 0 && library_->stream.avail_in == fed && left_ == 0));
  }
  return !damaged_;
}

bool Decoder::Read(uint8_t* out, size_t length) {
  size_t got = 0;
  if (!ReadSome(out, length, &got) || got < length) damaged_ = true;
  return !damaged_;
}

bool Decoder::AtEnd() {
  uint8_t byte;
  size_t got = 0;
  // Asks for one byte more: only then does the decoder check the stream's checksum.
  return ReadSome(&byte, 1, &got) && got == 0 && ended_ && library_->stream.avail_in == 0 && left_ == 0;
}

const char* Version() { return "1.1.0"; }

}  // namespace dk::bzip2
