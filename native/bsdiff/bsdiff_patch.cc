// Nothing in the file is believed before it is checked: lengths against the bytes there are, the triples as a whole
// before anything is allocated for what they promise, source positions against the source (bytes outside it count as
// zero, as bspatch has it).
#include <algorithm>

#include "bsdiff/bsdiff.h"
#include "bsdiff/bsdiff_file.h"
#include "bzip2/bzip2_face.h"
#include "common/thread_pool.h"

namespace dk::bsdiff {
namespace {

// Triples that make no bytes are of no use, but for one to begin with; a file of nothing else would keep a decoder
// busy for hours.
constexpr unsigned kIdleTriplesMax = 16;
// Positions beyond this are nonsense; the TypeScript engine reckons exactly up to here.
constexpr int64_t kPositionMax = int64_t{1} << 51;

struct Header {
  ByteSpan control, differences, extra;
  uint64_t target_length;
};

bool ReadHeader(ByteSpan delta, Header* header) {
  if (delta.length < kHeaderBytes || memcmp(delta.data, kMagic, kNumberBytes) != 0) return false;
  const int64_t control = GetNumber(delta.data + kNumberBytes);
  const int64_t differences = GetNumber(delta.data + 2 * kNumberBytes);
  const int64_t target = GetNumber(delta.data + 3 * kNumberBytes);
  if (control < 0 || differences < 0 || target < 0) return false;
  uint64_t left = delta.length - kHeaderBytes;
  if (static_cast<uint64_t>(control) > left) return false;
  left -= static_cast<uint64_t>(control);
  if (static_cast<uint64_t>(differences) > left) return false;
  left -= static_cast<uint64_t>(differences);
  const uint8_t* at = delta.data + kHeaderBytes;
  header->control = {at, static_cast<size_t>(control)};
  header->differences = {at + control, static_cast<size_t>(differences)};
  header->extra = {at + control + differences, static_cast<size_t>(left)};
  header->target_length = static_cast<uint64_t>(target);
  return true;
}

// Calls visit(add, copy, position) for every triple, in order; all bounds are checked. False when the triples do not
// make exactly `target_length` bytes.
template <typename Visit>
bool ForEachTriple(ByteSpan control, uint64_t target_length, Visit visit) {
  bzip2::Decoder decoder(control.data, control.length);
  uint64_t left = target_length;
  int64_t position = 0;
  unsigned idle = 0;
  uint8_t triple[kTripleBytes];
  for (;;) {
    size_t got = 0;
    if (!decoder.ReadSome(triple, kTripleBytes, &got)) return false;
    if (got == 0) return left == 0 && decoder.AtEnd();
    if (got < kTripleBytes) return false;
    const int64_t add = GetNumber(triple);
    const int64_t copy = GetNumber(triple + kNumberBytes);
    const int64_t seek = GetNumber(triple + 2 * kNumberBytes);
    if (add < 0 || copy < 0) return false;
    if (static_cast<uint64_t>(add) > left || static_cast<uint64_t>(copy) > left - static_cast<uint64_t>(add)) {
      return false;
    }
    left -= static_cast<uint64_t>(add) + static_cast<uint64_t>(copy);
    idle = add == 0 && copy == 0 ? idle + 1 : 0;
    if (idle > kIdleTriplesMax || seek > kPositionMax || seek < -kPositionMax) return false;
    visit(static_cast<size_t>(add), static_cast<size_t>(copy), position);
    position += add + seek;
    if (position > kPositionMax || position < -kPositionMax) return false;
  }
}

// target[i] += source[position + i], where there is such a byte.
void AddSource(ByteSpan source, int64_t position, uint8_t* target, size_t length) {
  const size_t skip =
      position < 0 ? static_cast<size_t>(std::min<int64_t>(-position, static_cast<int64_t>(length))) : 0;
  const size_t from = static_cast<size_t>(position + static_cast<int64_t>(skip));
  if (skip == length || from >= source.length) return;
  const size_t common = std::min(length - skip, source.length - from);
  for (size_t i = 0; i < common; ++i) target[skip + i] = static_cast<uint8_t>(target[skip + i] + source.data[from + i]);
}

// Decodes a stream that must hold exactly `length` bytes.
bool DecodeStream(ByteSpan stream, size_t length, std::vector<uint8_t>* out) {
  if (length > bzip2::DecodedBytesMax(stream.length)) return false;
  out->resize(length);
  bzip2::Decoder decoder(stream.data, stream.length);
  return decoder.Read(out->data(), length) && decoder.AtEnd();
}

}  // namespace

Status TargetLength(ByteSpan delta, uint64_t* length) {
  Header header;
  if (!ReadHeader(delta, &header)) return Status::kCorrupt;
  const uint64_t most = bzip2::DecodedBytesMax(header.differences.length) + bzip2::DecodedBytesMax(header.extra.length);
  if (header.target_length > most) return Status::kCorrupt;
  *length = header.target_length;
  return Status::kOk;
}

Status Patch(ByteSpan source, ByteSpan delta, uint8_t* target, size_t target_length) {
  Header header;
  if (!ReadHeader(delta, &header) || header.target_length != target_length) return Status::kCorrupt;
  size_t added = 0;
  if (!ForEachTriple(header.control, target_length, [&](size_t add, size_t, int64_t) { added += add; })) {
    return Status::kCorrupt;
  }
  std::vector<uint8_t> differences, extra;
  bool good[2];
  ParallelFor(2, [&](size_t i) {
    good[i] = i == 0 ? DecodeStream(header.differences, added, &differences)
                     : DecodeStream(header.extra, target_length - added, &extra);
  });
  if (!good[0] || !good[1]) return Status::kCorrupt;
  const uint8_t* next_difference = differences.data();
  const uint8_t* next_extra = extra.data();
  const bool whole = ForEachTriple(header.control, target_length, [&](size_t add, size_t copy, int64_t position) {
    if (add > 0) memcpy(target, next_difference, add);
    AddSource(source, position, target, add);
    if (copy > 0) memcpy(target + add, next_extra, copy);
    next_difference += add;
    next_extra += copy;
    target += add + copy;
  });
  return whole ? Status::kOk : Status::kCorrupt;
}

}  // namespace dk::bsdiff
