// Two passes. The first reads all headers and adds up the sizes of all instructions, so that nothing is allocated
// for a window that does not make what it says. The second does the work and checks every address as it comes.
#include <algorithm>

#include "xdelta/vcdiff.h"
#include "xdelta/vcdiff_file.h"

namespace dk::vcdiff {
namespace {

struct Window {
  uint8_t indicator = 0;
  uint64_t segment_length = 0;
  uint64_t segment_position = 0;
  uint64_t target_length = 0;
  uint32_t checksum = 0;
  ByteSpan data, instructions, addresses;
};

constexpr char kWhySecondary[] = "the file uses secondary compression (write it with xdelta3 -S none)";
constexpr char kWhyCodes[] = "the file brings a code table of its own";

Status ReadFileHeader(Input* input, const char** why) {
  for (const uint8_t magic : kMagic) {
    uint8_t byte;
    if (!input->Byte(&byte) || byte != magic) return Status::kCorrupt;
  }
  uint8_t indicator, compressor;
  if (!input->Byte(&indicator)) return Status::kCorrupt;
  if ((indicator & ~(kSecondary | kCodeTable | kApplicationHeader)) != 0) return Status::kCorrupt;
  // That a compressor is named does not mean that a window uses it.
  if ((indicator & kSecondary) != 0 && !input->Byte(&compressor)) return Status::kCorrupt;
  if ((indicator & kCodeTable) != 0) {
    *why = kWhyCodes;
    return Status::kUnsupported;
  }
  if ((indicator & kApplicationHeader) != 0) {
    uint64_t length;
    ByteSpan skipped;
    if (!input->Number(&length) || !input->Take(length, &skipped)) return Status::kCorrupt;
  }
  return Status::kOk;
}

Status ReadWindow(Input* input, Window* window, const char** why) {
  if (!input->Byte(&window->indicator)) return Status::kCorrupt;
  const uint8_t from = window->indicator & (kFromSource | kFromTarget);
  if ((window->indicator & ~(kFromSource | kFromTarget | kChecksum)) != 0) return Status::kCorrupt;
  if (from == (kFromSource | kFromTarget)) return Status::kCorrupt;
  if (from != 0 && (!input->Number(&window->segment_length) || !input->Number(&window->segment_position))) {
    return Status::kCorrupt;
  }
  uint64_t rest, lengths[3];
  ByteSpan body;
  if (!input->Number(&rest) || !input->Take(rest, &body)) return Status::kCorrupt;
  Input inner(body);
  uint8_t compressed;
  if (!inner.Number(&window->target_length) || !inner.Byte(&compressed)) return Status::kCorrupt;
  if (compressed != 0) {
    *why = kWhySecondary;
    return (compressed & ~7) != 0 ? Status::kCorrupt : Status::kUnsupported;
  }
  for (uint64_t& length : lengths) {
    if (!inner.Number(&length)) return Status::kCorrupt;
  }
  for (int i = 0; (window->indicator & kChecksum) != 0 && i < 4; ++i) {
    uint8_t byte;
    if (!inner.Byte(&byte)) return Status::kCorrupt;
    window->checksum = window->checksum << 8 | byte;
  }
  const bool whole = inner.Take(lengths[0], &window->data) && inner.Take(lengths[1], &window->instructions) &&
                     inner.Take(lengths[2], &window->addresses) && inner.left() == 0;
  return whole ? Status::kOk : Status::kCorrupt;
}

// Calls visit(kind, size, mode) for every instruction; false when the instructions are damaged or visit says so.
template <typename Visit>
bool ForEachInstruction(ByteSpan instructions, Visit visit) {
  const std::array<Code, 256>& codes = DefaultCodes();
  Input input(instructions);
  uint8_t byte;
  while (input.Byte(&byte)) {
    for (const Half& half : {codes[byte].first, codes[byte].second}) {
      if (half.kind == Kind::kNoop) continue;
      uint64_t size = half.size;
      if (size == 0 && !input.Number(&size)) return false;
      if (!visit(half.kind, size, half.mode)) return false;
    }
  }
  return true;
}

bool MakesItsLength(const Window& window) {
  uint64_t left = window.target_length;
  const bool good = ForEachInstruction(window.instructions, [&left](Kind, uint64_t size, uint8_t) {
    if (size > left) return false;
    left -= size;
    return true;
  });
  return good && left == 0;
}

// Makes one window. `target` is the whole target, of which `done` bytes exist.
class Maker {
 public:
  Maker(const Window& window, const uint8_t* segment, uint8_t* out)
      : window_(window), data_(window.data), addresses_(window.addresses), segment_(segment), out_(out) {}

  bool Run() {
    const bool good = ForEachInstruction(
        window_.instructions, [this](Kind kind, uint64_t size, uint8_t mode) { return Apply(kind, size, mode); });
    return good && made_ == window_.target_length && data_.left() == 0 && addresses_.left() == 0;
  }

 private:
  bool Apply(Kind kind, uint64_t size, uint8_t mode) {
    if (size > window_.target_length - made_) return false;
    uint8_t* const to = out_ + made_;
    ByteSpan taken;
    if (kind == Kind::kAdd) {
      if (!data_.Take(size, &taken)) return false;
      if (size > 0) memcpy(to, taken.data, static_cast<size_t>(size));
    } else if (kind == Kind::kRun) {
      if (!data_.Take(1, &taken)) return false;
      memset(to, taken.data[0], static_cast<size_t>(size));
    } else {
      uint64_t address;
      if (!ReadAddress(mode, &address)) return false;
      Copy(to, address, size);
    }
    made_ += size;
    return true;
  }

  bool ReadAddress(unsigned mode, uint64_t* address) {
    const uint64_t here = window_.segment_length + made_;
    uint64_t value;
    if (mode >= AddressCache::kFirstSame) {
      uint8_t byte;
      if (!addresses_.Byte(&byte)) return false;
      *address = cache_.same(mode, byte);
    } else {
      if (!addresses_.Number(&value)) return false;
      if (mode == 1 && value > here) return false;
      // Below 2^64: both are below 2^63.
      *address = mode == 0 ? value : mode == 1 ? here - value : cache_.near(mode) + value;
    }
    if (*address >= here) return false;
    cache_.Update(*address);
    return true;
  }

  // A copy may begin in the segment, and may read what it has just written.
  void Copy(uint8_t* to, uint64_t address, uint64_t size) {
    if (address < window_.segment_length) {
      const size_t part = static_cast<size_t>(std::min(size, window_.segment_length - address));
      memcpy(to, segment_ + address, part);
      to += part;
      size -= part;
      address = window_.segment_length;
    }
    const uint8_t* from = out_ + (address - window_.segment_length);
    // Each piece is as long as the bytes that exist: an overlapping copy doubles them.
    while (size > 0) {
      const size_t piece = static_cast<size_t>(std::min<uint64_t>(size, static_cast<uint64_t>(to - from)));
      memcpy(to, from, piece);
      to += piece;
      size -= piece;
    }
  }

  const Window& window_;
  Input data_, addresses_;
  const uint8_t* const segment_;
  uint8_t* const out_;
  uint64_t made_ = 0;
  AddressCache cache_;
};

bool MakeWindow(const Window& window, ByteSpan source, uint8_t* target, size_t done) {
  const uint8_t* segment = nullptr;
  if ((window.indicator & (kFromSource | kFromTarget)) != 0) {
    const bool from_source = (window.indicator & kFromSource) != 0;
    const uint64_t room = from_source ? source.length : done;
    if (window.segment_position > room || window.segment_length > room - window.segment_position) return false;
    segment = (from_source ? source.data : target) + window.segment_position;
  }
  if (!Maker(window, segment, target + done).Run()) return false;
  if ((window.indicator & kChecksum) == 0) return true;
  return Adler32(target + done, static_cast<size_t>(window.target_length)) == window.checksum;
}

}  // namespace

Status TargetLength(ByteSpan delta, uint64_t* length, const char** why) {
  Input input(delta);
  Status status = ReadFileHeader(&input, why);
  uint64_t total = 0;
  while (status == Status::kOk && input.left() > 0) {
    Window window;
    status = ReadWindow(&input, &window, why);
    if (status != Status::kOk) return status;
    if (!MakesItsLength(window)) return Status::kCorrupt;
    total += window.target_length;
    if (total >> 62 != 0) return Status::kCorrupt;
  }
  *length = total;
  return status;
}

Status Patch(ByteSpan source, ByteSpan delta, uint8_t* target, size_t target_length) {
  Input input(delta);
  const char* why = nullptr;
  Status status = ReadFileHeader(&input, &why);
  size_t done = 0;
  while (status == Status::kOk && input.left() > 0) {
    Window window;
    status = ReadWindow(&input, &window, &why);
    if (status != Status::kOk) return status;
    if (window.target_length > target_length - done) return Status::kCorrupt;
    if (!MakeWindow(window, source, target, done)) return Status::kCorrupt;
    done += static_cast<size_t>(window.target_length);
  }
  return status == Status::kOk && done != target_length ? Status::kCorrupt : status;
}

}  // namespace dk::vcdiff
