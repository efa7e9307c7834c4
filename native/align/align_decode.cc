#include <cstring>

#include "align/align.h"
#include "align/align_format.h"

namespace dk::align {
namespace {

using Bytes = std::vector<uint8_t>;

struct Window {
  uint64_t length = 0;
  uint64_t copies = 0;
  uint8_t flags = 0;
  Bytes joined;
  Bytes columns[kColumns];
  Bytes differences[kDifferences];
  Bytes literals;
};

// Reads the numbers of each column in turn.
struct Cursors {
  Reader at[kColumns] = {{nullptr, 0}, {nullptr, 0}, {nullptr, 0}, {nullptr, 0}, {nullptr, 0}, {nullptr, 0}};

  bool Next(Column column, uint64_t* value) { return at[column].Varint(value); }
  bool AllRead() const {
    for (const Reader& reader : at) {
      if (reader.left() != 0) return false;
    }
    return true;
  }
};

struct CopyNumbers {
  uint64_t literal = 0;
  uint64_t length = 0;
  uint64_t source = 0;
  uint64_t runs = 0;
};

// Walks over the copies of a window and checks each against source and window.
class CopyWalker {
 public:
  CopyWalker(Cursors cursors, uint64_t begin, uint64_t length, uint64_t source_length, bool has_runs)
      : cursors_(cursors), position_(begin), left_(length), source_length_(source_length), has_runs_(has_runs) {}

  bool Next(CopyNumbers* copy) {
    uint64_t length = 0, diagonal = 0;
    copy->runs = 0;
    if (!cursors_.Next(kLiteralLength, &copy->literal) || !cursors_.Next(kCopyLength, &length) ||
        !cursors_.Next(kDiagonal, &diagonal) || (has_runs_ && !cursors_.Next(kRunCount, &copy->runs))) {
      return false;
    }
    if (copy->literal > left_ || length >= left_ - copy->literal) return false;
    copy->length = length + 1;
    position_ += copy->literal;
    if (diagonal > kNumberMax) return false;
    // Unsigned sums wrap; what is too far off in either direction fails the comparison with the source's length.
    diagonal_ += static_cast<uint64_t>(UnZigZag(diagonal));
    copy->source = position_ + diagonal_;
    if (copy->source > source_length_ || copy->length > source_length_ - copy->source) return false;
    position_ += copy->length;
    left_ -= copy->literal + copy->length;
    return true;
  }

  uint64_t left() const { return left_; }
  Cursors& cursors() { return cursors_; }

 private:
  Cursors cursors_;
  uint64_t position_;
  uint64_t left_;
  uint64_t diagonal_ = 0;
  const uint64_t source_length_;
  const bool has_runs_;
};

// Adds a byte and the carry out of the sum before it; returns the sum.
unsigned AddByte(uint8_t* to, uint8_t difference, unsigned before) {
  const unsigned sum = unsigned{*to} + difference + (before >> 8);
  *to = static_cast<uint8_t>(sum);
  return sum;
}

class Decoder {
 public:
  Decoder(zstd::Span source, zstd::Span payload, uint8_t* target, size_t length)
      : source_(source), reader_(payload.data, payload.length), target_(target), target_length_(length) {}

  bool Run() {
    for (size_t begin = 0; begin < target_length_;) {
      Window window;
      if (!TakeWindow(begin, &window)) return false;
      begin += window.length;
    }
    return reader_.left() == 0;
  }

 private:
  bool TakeWindow(size_t begin, Window* window);
  bool TakeNumbers(Window* window, Cursors* cursors);
  bool Split(Window* window, Cursors* cursors) const;
  bool Gather(const Window& window, const Cursors& cursors, size_t begin, Bytes* context, uint64_t* literals,
              uint64_t* runs) const;
  bool Apply(const Window& window, const Cursors& cursors, size_t begin) const;
  static bool TakeRun(Cursors* cursors, uint64_t* gap, uint64_t* length);
  static bool ApplyRuns(Cursors* cursors, Reader* differences, uint64_t runs, uint8_t* to, uint64_t length);

  const zstd::Span source_;
  Reader reader_;
  uint8_t* const target_;
  const size_t target_length_;
};

// Finds where the columns of one joined stream begin: each is as long as the numbers before it say.
bool Decoder::Split(Window* window, Cursors* cursors) const {
  Reader reader(window->joined.data(), window->joined.size());
  uint64_t runs = 0;
  const bool has_runs = (window->flags & kFlagRuns) != 0;
  for (size_t column = 0; column < (has_runs ? kRunToken : kRunCount); ++column) {
    const Reader begin = reader;
    if (window->copies > reader.left()) return false;
    for (uint64_t i = 0; i < window->copies; ++i) {
      uint64_t value = 0;
      if (!reader.Varint(&value)) return false;
      if (column != kRunCount) continue;
      if (value > window->joined.size() - runs) return false;
      runs += value;
    }
    Reader whole = begin;
    const size_t length = begin.left() - reader.left();
    cursors->at[column] = Reader(whole.Take(length), length);
  }
  if (runs > reader.left()) return false;
  if (!has_runs) return reader.left() == 0;
  cursors->at[kRunToken] = Reader(reader.Take(runs), runs);
  cursors->at[kRunExtra] = reader;
  return true;
}

bool Decoder::TakeNumbers(Window* window, Cursors* cursors) {
  uint64_t room = NumberBytesMax(window->length);
  if ((window->flags & kFlagJoined) != 0) {
    return TakeStream(&reader_, room, {}, &window->joined) && Split(window, cursors);
  }
  const size_t columns = (window->flags & kFlagRuns) != 0 ? kColumns : kRunCount;
  for (size_t i = 0; i < columns; ++i) {
    Bytes& column = window->columns[i];
    if (!TakeStream(&reader_, room, {}, &column)) return false;
    room -= column.size();
    cursors->at[i] = Reader(column.data(), column.size());
  }
  return true;
}

// First walk over the copies: checks them all, counts, and gathers the context of the literals.
bool Decoder::Gather(const Window& window, const Cursors& cursors, size_t begin, Bytes* context, uint64_t* literals,
                     uint64_t* runs) const {
  const bool has_runs = (window.flags & kFlagRuns) != 0;
  CopyWalker counter(cursors, begin, window.length, source_.length, has_runs);
  CopyNumbers copy;
  *literals = window.length;
  for (uint64_t i = 0; i < window.copies; ++i) {
    if (!counter.Next(&copy)) return false;
    *literals -= copy.length;
    if (copy.runs > copy.length) return false;
    *runs += copy.runs;
  }
  if ((window.flags & kFlagContext) == 0) return true;
  ContextGatherer gatherer(source_, *literals);
  CopyWalker walker(cursors, begin, window.length, source_.length, has_runs);
  uint64_t before = ContextGatherer::kNone;
  for (uint64_t i = 0; i < window.copies; ++i) {
    walker.Next(&copy);
    if (copy.literal > 0) gatherer.Add(copy.literal, before, copy.source);
    before = copy.source + copy.length;
  }
  if (walker.left() > 0) gatherer.Add(walker.left(), before, ContextGatherer::kNone);
  *context = gatherer.TakeBytes();
  return true;
}

// One run of differences: where it begins behind the one before, and its length.
bool Decoder::TakeRun(Cursors* cursors, uint64_t* gap, uint64_t* length) {
  const uint8_t* token = cursors->at[kRunToken].Take(1);
  if (token == nullptr) return false;
  *gap = *token & kTokenGapMax;
  *length = *token >> 6;
  uint64_t extra = 0;
  if (*gap == kTokenGapMax) {
    if (!cursors->Next(kRunExtra, &extra) || extra > kWindowBytesMax) return false;
    *gap += extra;
  }
  if (*length == kTokenLengthMax) {
    if (!cursors->Next(kRunExtra, &extra) || extra > kWindowBytesMax) return false;
    *length += extra;
  }
  *length += 1;
  return true;
}

bool Decoder::ApplyRuns(Cursors* cursors, Reader* differences, uint64_t runs, uint8_t* to, uint64_t length) {
  uint64_t at = 0;
  for (uint64_t i = 0; i < runs; ++i) {
    uint64_t gap = 0, run = 0;
    if (!TakeRun(cursors, &gap, &run) || gap > length - at || run > length - at - gap) return false;
    at += gap;
    const uint8_t* first = differences[kFirst].Take(1);
    const uint8_t* second = run > 1 ? differences[kSecond].Take(1) : nullptr;
    if (first == nullptr || (run > 1 && second == nullptr)) return false;
    unsigned sum = AddByte(to + at, *first, 0);
    if (run > 1) sum = AddByte(to + at + 1, *second, sum);
    if (run > 2) {
      const uint8_t* others = differences[kOthers].Take(run - 2);
      if (others == nullptr) return false;
      for (uint64_t k = 2; k < run; ++k) sum = AddByte(to + at + k, others[k - 2], sum);
    }
    at += run;
  }
  return true;
}

bool Decoder::Apply(const Window& window, const Cursors& cursors, size_t begin) const {
  CopyWalker walker(cursors, begin, window.length, source_.length, (window.flags & kFlagRuns) != 0);
  Reader literals(window.literals.data(), window.literals.size());
  Reader differences[kDifferences] = {{window.differences[kFirst].data(), window.differences[kFirst].size()},
                                      {window.differences[kSecond].data(), window.differences[kSecond].size()},
                                      {window.differences[kOthers].data(), window.differences[kOthers].size()}};
  uint8_t* to = target_ + begin;
  CopyNumbers copy;
  for (uint64_t i = 0; i < window.copies; ++i) {
    if (!walker.Next(&copy)) return false;
    if (copy.literal > literals.left()) return false;
    if (copy.literal > 0) memcpy(to, literals.Take(copy.literal), copy.literal);
    to += copy.literal;
    memcpy(to, source_.data + copy.source, copy.length);
    if (copy.runs > 0 && !ApplyRuns(&walker.cursors(), differences, copy.runs, to, copy.length)) return false;
    to += copy.length;
  }
  for (const Reader& column : differences) {
    if (column.left() != 0) return false;
  }
  if (literals.left() != walker.left() || !walker.cursors().AllRead()) return false;
  if (walker.left() > 0) memcpy(to, literals.Take(walker.left()), walker.left());
  return true;
}

bool Decoder::TakeWindow(size_t begin, Window* window) {
  if (!reader_.Varint(&window->length) || window->length == 0 || window->length > kWindowBytesMax ||
      window->length > target_length_ - begin) {
    return false;
  }
  const uint8_t* flags = reader_.Take(1);
  if (flags == nullptr || (*flags & ~kFlagsKnown) != 0) return false;
  window->flags = *flags;
  if (!reader_.Varint(&window->copies) || window->copies > window->length) return false;
  Cursors cursors;
  if (window->copies > 0 && !TakeNumbers(window, &cursors)) return false;
  Bytes context;
  uint64_t literals = 0, runs = 0;
  if (!Gather(*window, cursors, begin, &context, &literals, &runs)) return false;
  if ((window->flags & kFlagRuns) != 0) {
    uint64_t room = window->length - literals;
    if (runs == 0) return false;
    for (Bytes& column : window->differences) {
      if (!TakeStream(&reader_, room, {}, &column)) return false;
      room -= column.size();
    }
  }
  if (!TakeStream(&reader_, literals, {context.data(), context.size()}, &window->literals)) return false;
  return Apply(*window, cursors, begin);
}

}  // namespace

Status Patch(zstd::Span source, zstd::Span payload, uint8_t* target, size_t target_length) {
  if (payload.length == 0) return Status::kCorrupt;
  const zstd::Span body = {payload.data + 1, payload.length - 1};
  if (payload.data[0] == kFormWindows) {
    return Decoder(source, body, target, target_length).Run() ? Status::kOk : Status::kCorrupt;
  }
  if (payload.data[0] != kFormWhole || source.length > kWholeBytesMax || target_length > kWholeBytesMax) {
    return Status::kCorrupt;
  }
  return TakeFrame(body, source, target, target_length) ? Status::kOk : Status::kCorrupt;
}

}  // namespace dk::align
