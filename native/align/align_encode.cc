#include <algorithm>
#include <cstring>

#include "align/align.h"
#include "align/align_format.h"
#include "align/align_match.h"
#include "align/align_ops.h"
#include "common/thread_pool.h"
#include "zstd/entropy.h"

namespace dk::align {
namespace {

// Below this much target the whole source serves as prefix: no numbers of ours are shorter than zstd's own.
constexpr size_t kSmallBytes = 64 << 10;
constexpr size_t kSmallSourceBytes = 1 << 20;
// Target bytes of one window. Less than the format allows: each is decoded in memory of its own.
constexpr size_t kWindowBytes = 32 << 20;
// Up to this length the highest effort tries the source as prefix as well: a second of work.
constexpr size_t kComparedBytes = 4 << 20;
// Where more than so many bytes are no copies, coding them takes the longest: the quickest effort then makes the
// windows shorter, and so many at a time.
constexpr size_t kManyLiterals = 4 << 20;
constexpr size_t kShortWindowBytes = 8 << 20;
constexpr size_t kTogether = 2;
constexpr size_t kJoinedBytes = 4096;
// Up to so many bytes to be found again the quickest effort looks as closely as it can afford.
constexpr size_t kFineBytes = 16 << 20;

using Bytes = std::vector<uint8_t>;

zstd::Span SpanOf(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

struct Speed {
  int level;
  double bytes_per_ms;
};
// What zstd does on one core, roughly: used to choose a level, so that the choice does not depend on a clock.
constexpr Speed kSpeeds[] = {{19, 2500}, {15, 7000}, {12, 20000}, {9, 45000}, {6, 80000}, {3, 200000}};

// Of more bytes in a window, as executables have whose code moved, the last levels take twice the time for a percent.
constexpr size_t kMuchBytes = size_t{8} << 20;

// The highest level that codes `bytes` within a share of the time that zstd would take for the whole target.
int ChooseLevel(Effort effort, size_t bytes, size_t reach, bool mostly_literals) {
  if (effort == Effort::kMax) return bytes > kMuchBytes ? 16 : 19;
  const double share = effort == Effort::kFast ? 0.15 : 1.0;
  const double budget_ms = 0.5 + share * static_cast<double>(reach) / 400e3;
  for (const Speed& speed : kSpeeds) {
    if (static_cast<double>(bytes) / speed.bytes_per_ms <= budget_ms) return speed.level;
  }
  // Where most of the target is literals, nothing but them decides the size.
  return effort == Effort::kFast && !mostly_literals ? 1 : 3;
}

// Whether samples of the bytes hold next to no control characters, as text in any encoding of bytes does.
bool LooksLikeText(zstd::Span bytes) {
  constexpr size_t kPieces = 64;
  constexpr size_t kPieceBytes = 256;
  constexpr size_t kControlMax = 16;
  size_t control = 0;
  const size_t step = std::max(kPieceBytes, bytes.length / kPieces);
  for (size_t at = 0; at < bytes.length; at += step) {
    const size_t end = std::min(bytes.length, at + kPieceBytes);
    for (size_t i = at; i < end; ++i) control += bytes.data[i] < 9 || (bytes.data[i] >= 14 && bytes.data[i] < 32);
  }
  return control <= kControlMax;
}

enum class Kind { kText, kCode, kData };

// Executables are told by their first bytes: ELF, PE, Mach-O (both orders, universal), WebAssembly.
Kind KindOf(zstd::Span target) {
  static constexpr uint8_t kMagics[][5] = {{4, 0x7f, 'E', 'L', 'F'},    {2, 'M', 'Z', 0, 0},
                                           {4, 0xcf, 0xfa, 0xed, 0xfe}, {4, 0xfe, 0xed, 0xfa, 0xcf},
                                           {4, 0xca, 0xfe, 0xba, 0xbe}, {4, 0, 'a', 's', 'm'}};
  for (const auto& magic : kMagics) {
    if (target.length >= 4 && memcmp(target.data, magic + 1, magic[0]) == 0) return Kind::kCode;
  }
  return LooksLikeText(target) ? Kind::kText : Kind::kData;
}

// In text a short match costs more than its literals, which zstd finds in their context. In machine code it is often
// the begin of a function that moved. In other data short matches lead astray: rows and records resemble each other.
MatchSettings SettingsFor(Effort effort, Kind kind) {
  MatchSettings settings;
  if (kind == Kind::kText) {
    settings.fine_step = effort == Effort::kFast ? 32 : 16;
    settings.length_min = 48;
    settings.far_length_min = 64;
    return settings;
  }
  if (effort == Effort::kFast) {
    settings.fine_step = 16;
    settings.fine_bytes_max = kFineBytes;
    return settings;
  }
  settings.length_min = 24;
  settings.ways = effort == Effort::kBalanced ? 4 : 8;
  if (kind == Kind::kCode) {
    settings.window = 16;
    settings.fine_step = effort == Effort::kBalanced ? 8 : 4;
  } else {
    settings.fine_step = effort == Effort::kBalanced ? 16 : 8;
  }
  return settings;
}

class Encoder {
 public:
  Encoder(zstd::Span source, zstd::Span target, const Options& options)
      : source_(source), target_(target), options_(options) {}

  Status Whole(Bytes* payload) const;
  Status Find(Kind kind, std::vector<Copy>* copies) const;
  // Codes with as much care as `care` says, whatever the effort of the search was.
  Status Windows(const std::vector<Copy>& copies, Effort care, Bytes* payload) const;

 private:
  size_t WindowBytes(const std::vector<Copy>& copies) const;
  Status Window(const std::vector<Copy>& copies, size_t begin, size_t end, Effort care, Bytes* payload) const;
  Status PutWindow(const WindowParts& parts, size_t length, Effort care, Bytes* payload) const;

  const zstd::Span source_;
  const zstd::Span target_;
  const Options& options_;
};

// One stream of a window and how it is coded. Streams do not know of each other, so they are coded side by side.
struct Stream {
  zstd::Span bytes;
  zstd::Span context;
  int level;
};

Status PutStreams(const std::vector<Stream>& streams, const std::function<bool()>& stop, Bytes* payload) {
  std::vector<Bytes> coded(streams.size());
  std::vector<Status> results(streams.size(), Status::kOk);
  ParallelFor(streams.size(), [&](size_t i) {
    results[i] = PutStream(streams[i].bytes, streams[i].context, streams[i].level, stop, &coded[i]);
  });
  for (size_t i = 0; i < streams.size(); ++i) {
    if (results[i] != Status::kOk) return results[i];
    payload->insert(payload->end(), coded[i].begin(), coded[i].end());
  }
  return Status::kOk;
}

Status Encoder::Whole(Bytes* payload) const {
  payload->assign(1, kFormWhole);
  const int level = options_.effort == Effort::kFast ? 9 : 19;
  return PutFrame(target_, source_, level, options_.stop, payload);
}

Status Encoder::PutWindow(const WindowParts& parts, size_t length, Effort care, Bytes* payload) const {
  const size_t work = parts.NumberBytes() + parts.DifferenceBytes() + parts.literals.size() + parts.context.size() / 2;
  const size_t reach =
      length + static_cast<size_t>(static_cast<double>(source_.length) *
                                   (static_cast<double>(length) / static_cast<double>(target_.length)));
  const int level = ChooseLevel(care, work, reach, parts.literals.size() > length / 2);
  const bool noise = LooksIncompressible(parts.literals.data(), parts.literals.size());
  const bool joined = parts.NumberBytes() <= kJoinedBytes;
  const bool context = !noise && !parts.context.empty();
  PutVarint(payload, length);
  payload->push_back(static_cast<uint8_t>((joined ? kFlagJoined : 0) | (context ? kFlagContext : 0) |
                                          (parts.runs > 0 ? kFlagRuns : 0)));
  PutVarint(payload, parts.copies);
  const size_t columns = parts.runs > 0 ? kColumns : kRunCount;
  std::vector<Stream> streams;
  Bytes all;
  if (parts.copies > 0 && joined) {
    for (size_t i = 0; i < columns; ++i) all.insert(all.end(), parts.numbers[i].begin(), parts.numbers[i].end());
    streams.push_back({SpanOf(all), {}, level});
  } else if (parts.copies > 0) {
    for (size_t i = 0; i < columns; ++i) streams.push_back({SpanOf(parts.numbers[i]), {}, level});
  }
  if (parts.runs > 0) {
    for (const Bytes& column : parts.differences) streams.push_back({SpanOf(column), {}, level});
  }
  streams.push_back({SpanOf(parts.literals), context ? SpanOf(parts.context) : zstd::Span{}, noise ? 0 : level});
  return PutStreams(streams, options_.stop, payload);
}

Status Encoder::Find(Kind kind, std::vector<Copy>* copies) const {
  return FindCopies(source_, target_, SettingsFor(options_.effort, kind), KernelsFor(options_.simd), options_.stop,
                    copies);
}

size_t Encoder::WindowBytes(const std::vector<Copy>& copies) const {
  size_t literals = target_.length;
  for (const Copy& copy : copies) literals -= copy.length;
  return options_.effort == Effort::kFast && literals > kManyLiterals ? kShortWindowBytes : kWindowBytes;
}

Status Encoder::Window(const std::vector<Copy>& copies, size_t begin, size_t end, Effort care, Bytes* payload) const {
  const Kernels& kernels = KernelsFor(options_.simd);
  const auto ends = [&](const Copy& copy) { return copy.target + copy.length <= begin; };
  const auto found = std::partition_point(copies.begin(), copies.end(), ends);
  WindowParts parts =
      MakeWindow(source_, target_, kernels, copies, begin, end, static_cast<size_t>(found - copies.begin()));
  if (parts.NumberBytes() > NumberBytesMax(end - begin)) {
    parts = MakeWindow(source_, target_, kernels, copies, begin, end, copies.size());
  }
  return PutWindow(parts, end - begin, care, payload);
}

Status Encoder::Windows(const std::vector<Copy>& copies, Effort care, Bytes* payload) const {
  payload->assign(1, kFormWindows);
  const size_t bytes = WindowBytes(copies);
  // One at a time where they are long, for the memory they take.
  const size_t together = bytes == kShortWindowBytes ? kTogether : 1;
  for (size_t begin = 0; begin < target_.length; begin += together * bytes) {
    Bytes coded[kTogether];
    Status results[kTogether] = {Status::kOk, Status::kOk};
    const size_t count = std::min(together, (target_.length - begin + bytes - 1) / bytes);
    ParallelFor(count, [&](size_t i) {
      const size_t from = begin + i * bytes;
      results[i] = Window(copies, from, std::min(target_.length, from + bytes), care, &coded[i]);
    });
    for (size_t i = 0; i < count; ++i) {
      if (results[i] != Status::kOk) return results[i];
      payload->insert(payload->end(), coded[i].begin(), coded[i].end());
    }
  }
  return Status::kOk;
}

// Two ways to look for copies; what they find is coded quickly first, so that only the better one gets all the care.
Status BetterOfTwo(const Encoder& encoder, Kind kind, Bytes* payload) {
  const Kind kinds[] = {kind, kind == Kind::kText ? Kind::kCode : Kind::kText};
  std::vector<Copy> best;
  size_t best_bytes = 0;
  for (const Kind tried : kinds) {
    std::vector<Copy> copies;
    Status status = encoder.Find(tried, &copies);
    if (status == Status::kOk) status = encoder.Windows(copies, Effort::kFast, payload);
    if (status != Status::kOk) return status;
    if (best_bytes != 0 && payload->size() >= best_bytes) continue;
    best_bytes = payload->size();
    best.swap(copies);
  }
  return encoder.Windows(best, Effort::kMax, payload);
}

// Short files leave time to code everything with all care.
Status BestOfAll(const Encoder& encoder, Kind kind, Bytes* payload) {
  Bytes other;
  for (const Kind tried : {kind, kind == Kind::kText ? Kind::kCode : Kind::kText}) {
    std::vector<Copy> copies;
    Status status = encoder.Find(tried, &copies);
    if (status == Status::kOk) status = encoder.Windows(copies, Effort::kMax, &other);
    if (status != Status::kOk) return status;
    if (payload->empty() || other.size() < payload->size()) payload->swap(other);
  }
  const Status status = encoder.Whole(&other);
  if (status == Status::kOk && other.size() < payload->size()) payload->swap(other);
  return status;
}

}  // namespace

Status Diff(zstd::Span source, zstd::Span target, const Options& options, Bytes* payload) {
  const Encoder encoder(source, target, options);
  if (target.length > 0 && target.length <= kSmallBytes && source.length <= kSmallSourceBytes) {
    return encoder.Whole(payload);
  }
  const Kind kind = KindOf(target);
  payload->clear();
  if (options.effort == Effort::kMax) {
    const bool compared = std::max(source.length, target.length) <= kComparedBytes;
    return compared ? BestOfAll(encoder, kind, payload) : BetterOfTwo(encoder, kind, payload);
  }
  std::vector<Copy> copies;
  const Status status = encoder.Find(kind, &copies);
  return status == Status::kOk ? encoder.Windows(copies, options.effort, payload) : status;
}

}  // namespace dk::align
