#include "align/align_format.h"

#include <cstring>
#include <memory>

namespace dk::align {
namespace {

constexpr uint8_t kMagic[kMagicBytes] = {0x28, 0xb5, 0x2f, 0xfd};
constexpr uint64_t kMargin = 32;
constexpr uint64_t kGapMax = 1 << 20;

uint64_t Less(uint64_t value, uint64_t by) { return value > by ? value - by : 0; }

}  // namespace

void ContextGatherer::Append(uint64_t begin, uint64_t end) {
  end = std::min<uint64_t>(end, source_.length);
  if (begin >= last_begin_ && begin < last_end_) begin = last_end_;
  if (begin >= end) return;
  last_begin_ = begin;
  last_end_ = end;
  const uint64_t taken = std::min(end - begin, left_);
  left_ -= taken;
  bytes_.insert(bytes_.end(), source_.data + begin, source_.data + begin + taken);
}

void ContextGatherer::Add(uint64_t length, uint64_t before, uint64_t after) {
  const uint64_t gap = std::min(length, kGapMax);
  if (before != kNone && after != kNone && before <= after && after - before <= 2 * gap + 256) {
    Append(Less(before, kMargin), after + kMargin);
    return;
  }
  if (before != kNone) {
    const uint64_t end = std::min<uint64_t>(before + gap + 2 * kMargin, source_.length);
    // At the end of the source there is little ahead: what an appended tail resembles lies behind it.
    const uint64_t begin =
        after == kNone ? std::min(Less(before, kMargin), Less(end, 2 * gap + 256)) : before - std::min(before, kMargin);
    Append(begin, end);
  }
  if (after != kNone) Append(Less(after, gap + 2 * kMargin), after + kMargin);
}

Status PutFrame(zstd::Span data, zstd::Span context, int level, const std::function<bool()>& stop,
                std::vector<uint8_t>* out) {
  zstd::Settings settings;
  settings.level = level;
  settings.context = context;
  settings.stop = stop;
  // Not a vector, which would touch all of it.
  const size_t room = zstd::Bound(data.length);
  const std::unique_ptr<uint8_t[]> frame(new uint8_t[room]);
  size_t written = 0;
  const Status status = zstd::Compress(data, settings, frame.get(), room, &written);
  if (status != Status::kOk) return status;
  out->insert(out->end(), frame.get() + kMagicBytes, frame.get() + written);
  return Status::kOk;
}

bool TakeFrame(zstd::Span frame, zstd::Span context, uint8_t* out, size_t length) {
  std::vector<uint8_t> whole(kMagicBytes + frame.length);
  memcpy(whole.data(), kMagic, kMagicBytes);
  if (frame.length > 0) memcpy(whole.data() + kMagicBytes, frame.data, frame.length);
  return zstd::Decompress({whole.data(), whole.size()}, context, {}, out, length) == Status::kOk;
}

Status PutStream(zstd::Span data, zstd::Span context, int level, const std::function<bool()>& stop,
                 std::vector<uint8_t>* out) {
  PutVarint(out, data.length);
  if (data.length == 0) return Status::kOk;
  std::vector<uint8_t> frame;
  if (level > 0) {
    const Status status = PutFrame(data, context, level, stop, &frame);
    if (status != Status::kOk) return status;
  }
  const bool stored = level == 0 || frame.size() >= data.length;
  PutVarint(out, stored ? 0 : frame.size());
  if (stored) {
    out->insert(out->end(), data.data, data.data + data.length);
  } else {
    out->insert(out->end(), frame.begin(), frame.end());
  }
  return Status::kOk;
}

bool TakeStream(Reader* reader, uint64_t length_max, zstd::Span context, std::vector<uint8_t>* data) {
  uint64_t length = 0;
  uint64_t stored = 0;
  data->clear();
  if (!reader->Varint(&length) || length > length_max) return false;
  if (length == 0) return true;
  if (!reader->Varint(&stored)) return false;
  const uint8_t* bytes = reader->Take(stored == 0 ? length : stored);
  if (bytes == nullptr) return false;
  if (stored == 0) {
    data->assign(bytes, bytes + length);
    return true;
  }
  data->resize(length);
  return TakeFrame({bytes, static_cast<size_t>(stored)}, context, data->data(), length);
}

}  // namespace dk::align
