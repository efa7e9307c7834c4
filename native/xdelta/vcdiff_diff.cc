// Windows are matched and written apart, by whichever thread is free, and put behind each other.
#include <algorithm>
#include <atomic>

#include "common/thread_pool.h"
#include "xdelta/vcdiff.h"
#include "xdelta/vcdiff_file.h"
#include "xdelta/vcdiff_match.h"

namespace dk::vcdiff {
namespace {

// As long as those of xdelta3, which refuses much longer ones. Fixed, so that the delta is the same on every machine.
constexpr size_t kWindowBytes = size_t{8} << 20;

unsigned NumberBytes(uint64_t value) {
  unsigned bytes = 1;
  while (value >>= 7) ++bytes;
  return bytes;
}

void PutNumber(uint64_t value, std::vector<uint8_t>* out) {
  for (unsigned bytes = NumberBytes(value); bytes-- > 0;) {
    out->push_back(static_cast<uint8_t>(value >> (7 * bytes) & 0x7f) | (bytes > 0 ? 0x80 : 0));
  }
}

void PutBytes(const uint8_t* data, size_t length, std::vector<uint8_t>* out) {
  out->insert(out->end(), data, data + length);
}

// Writes the three sections of one window.
class Sections {
 public:
  Sections(ByteSpan target, size_t begin, size_t segment_position, size_t segment_length)
      : target_(target), begin_(begin), segment_position_(segment_position), segment_length_(segment_length) {}

  void Literal(size_t from, size_t to) {
    if (from == to) return;
    const size_t size = to - from;
    PutBytes(target_.data + from, size, &data);
    // The code for a copy of four bytes with one more literal takes the place of both.
    if (size == 1 && copy_mode_ != kNoMode && copy_size_ == 4) {
      instructions.back() = static_cast<uint8_t>(247 + copy_mode_);
      copy_mode_ = kNoMode;
      return;
    }
    add_size_ = size;
    copy_mode_ = kNoMode;
    PutCode(AddCode(size), size, size <= kAddSizeMax);
  }

  void Apply(const Operation& operation) {
    const size_t size = operation.length;
    if (operation.from == Operation::From::kRun) {
      data.push_back(target_.data[operation.target]);
      PutCode(kRunCode, size, false);
      add_size_ = 0;
      copy_mode_ = kNoMode;
      return;
    }
    const bool from_source = operation.from == Operation::From::kSource;
    const uint64_t address =
        from_source ? operation.address - segment_position_ : segment_length_ + (operation.address - begin_);
    const unsigned mode = PutAddress(address, segment_length_ + (operation.target - begin_));
    const unsigned longest = mode < AddressCache::kFirstSame ? 6 : 4;
    if (add_size_ >= 1 && add_size_ <= 4 && size >= kCopySizeMin && size <= longest) {
      // One code for the literal before and the copy.
      const unsigned per_mode = mode < AddressCache::kFirstSame ? 12 : 4;
      const unsigned first = mode < AddressCache::kFirstSame ? 163 + 12 * mode : 235 + 4 * (mode - 6);
      const unsigned code =
          first + (static_cast<unsigned>(add_size_) - 1) * (per_mode / 4) + static_cast<unsigned>(size - kCopySizeMin);
      instructions.back() = static_cast<uint8_t>(code);
      copy_mode_ = kNoMode;
    } else {
      PutCode(CopyCode(size, mode), size, size >= kCopySizeMin && size <= kCopySizeMax);
      copy_mode_ = mode;
      copy_size_ = size;
    }
    add_size_ = 0;
  }

  std::vector<uint8_t> data, instructions, addresses;

 private:
  static constexpr unsigned kNoMode = 99;

  void PutCode(unsigned code, size_t size, bool in_code) {
    instructions.push_back(static_cast<uint8_t>(code));
    if (!in_code) PutNumber(size, &instructions);
  }

  // The shortest way to write an address; returns its mode.
  unsigned PutAddress(uint64_t address, uint64_t here) {
    unsigned mode = 0;
    uint8_t byte = 0;
    if (cache_.HasSame(address, &mode, &byte)) {
      addresses.push_back(byte);
    } else {
      uint64_t best = address;
      mode = 0;
      if (here - address < best) {
        best = here - address;
        mode = 1;
      }
      for (unsigned near = AddressCache::kFirstNear; near < AddressCache::kFirstSame; ++near) {
        const uint64_t base = cache_.near(near);
        if (address < base || address - base >= best) continue;
        best = address - base;
        mode = near;
      }
      PutNumber(best, &addresses);
    }
    cache_.Update(address);
    return mode;
  }

  const ByteSpan target_;
  const size_t begin_;
  const size_t segment_position_;
  const size_t segment_length_;
  AddressCache cache_;
  // What the last instruction byte was, while it can still be joined with the next.
  size_t add_size_ = 0;
  unsigned copy_mode_ = kNoMode;
  size_t copy_size_ = 0;
};

// The part of the source that the operations use.
void FindSegment(const std::vector<Operation>& operations, size_t* position, size_t* length) {
  size_t first = SIZE_MAX, last = 0;
  for (const Operation& operation : operations) {
    if (operation.from != Operation::From::kSource) continue;
    first = std::min(first, operation.address);
    last = std::max(last, operation.address + operation.length);
  }
  *position = last == 0 ? 0 : first;
  *length = last == 0 ? 0 : last - first;
}

void WriteWindow(ByteSpan target, size_t begin, size_t end, const std::vector<Operation>& operations, bool checksum,
                 std::vector<uint8_t>* out) {
  size_t position = 0, length = 0;
  FindSegment(operations, &position, &length);
  Sections sections(target, begin, position, length);
  size_t at = begin;
  for (const Operation& operation : operations) {
    sections.Literal(at, operation.target);
    sections.Apply(operation);
    at = operation.target + operation.length;
  }
  sections.Literal(at, end);
  std::vector<uint8_t> head;
  PutNumber(end - begin, &head);
  head.push_back(0);
  for (const auto* section : {&sections.data, &sections.instructions, &sections.addresses}) {
    PutNumber(section->size(), &head);
  }
  if (checksum) {
    const uint32_t sum = Adler32(target.data + begin, end - begin);
    for (int shift = 24; shift >= 0; shift -= 8) head.push_back(static_cast<uint8_t>(sum >> shift));
  }
  out->push_back(static_cast<uint8_t>((length > 0 ? kFromSource : 0) | (checksum ? kChecksum : 0)));
  if (length > 0) {
    PutNumber(length, out);
    PutNumber(position, out);
  }
  PutNumber(head.size() + sections.data.size() + sections.instructions.size() + sections.addresses.size(), out);
  PutBytes(head.data(), head.size(), out);
  for (const auto* section : {&sections.data, &sections.instructions, &sections.addresses}) {
    PutBytes(section->data(), section->size(), out);
  }
}

}  // namespace

Status Diff(ByteSpan source, ByteSpan target, const Settings& settings, std::vector<uint8_t>* delta) {
  SourceIndex index(source);
  // At least one: xdelta3 takes a file without windows for no file.
  const size_t count = std::max<size_t>(1, (target.length + kWindowBytes - 1) / kWindowBytes);
  std::vector<std::vector<uint8_t>> windows(count);
  std::atomic<bool> stopped{false};
  ParallelFor(count, [&](size_t i) {
    if (stopped || (settings.stop && settings.stop())) {
      stopped = true;
      return;
    }
    const size_t begin = i * kWindowBytes;
    const size_t end = std::min(begin + kWindowBytes, target.length);
    std::vector<Operation> operations;
    MatchWindow(source, &index, target, begin, end, &operations);
    WriteWindow(target, begin, end, operations, settings.checksum, &windows[i]);
  });
  if (stopped) return Status::kCancelled;
  delta->assign(kMagic, kMagic + sizeof kMagic);
  delta->push_back(0);
  for (std::vector<uint8_t>& window : windows) {
    PutBytes(window.data(), window.size(), delta);
    window = {};
  }
  return Status::kOk;
}

}  // namespace dk::vcdiff
