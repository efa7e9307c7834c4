#include "dense/folded_group.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "common/little.h"
#include "xxhash/xxhash_face.h"

namespace dk::dense {
namespace {

// Kinds of records: `RECORD` of src/format/types.ts.
constexpr uint64_t kBlob = 1;
constexpr uint64_t kVersions = 3;
constexpr uint64_t kPrune = 5;
// How a record is folded.
constexpr uint64_t kPlain = 0;
constexpr uint64_t kWhole = 1;
// LIMITS.payloadBytes, and RECORD_BYTES_MAX of src/format/record.ts.
constexpr uint64_t kPayloadMax = (1u << 20) + 4096;
constexpr uint64_t kRecordMax = kPayloadMax + (1u << 18) + 128;
constexpr uint32_t kClassRows = 64;
constexpr uint32_t kRowBodyMax = 4096;
constexpr uint64_t kNumberMax = 0xffffffff;
// A number of 8 bytes is the longest.
constexpr unsigned kShiftMax = 49;

// Numbers one after the other, as src/format/bytes.ts reads them: the longer forms of a number count, too.
class Numbers {
 public:
  explicit Numbers(ByteSpan bytes) : at_(bytes.data), end_(bytes.data + bytes.length) {}

  bool Next(uint64_t* value) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift <= kShiftMax && at_ < end_; shift += 7) {
      const uint8_t byte = *at_++;
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      *value = result;
      return result <= kNumberMax;
    }
    return false;
  }

  const uint8_t* at() const { return at_; }
  bool ended() const { return at_ == end_; }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
};

bool IsRow(uint64_t form, uint64_t kind, uint64_t body_bytes) {
  return form == kPlain && kind >= kVersions && body_bytes <= kRowBodyMax;
}

}  // namespace

bool FoldedGroup::Open(FoldedBytes folded, const FoldFacts& facts) {
  facts_ = facts;
  folded_ = std::move(folded);
  if (facts_.bytes > kGroupBytesMax || facts_.records < 1 || facts_.records > facts_.bytes / kRecordMinBytes) {
    return false;
  }
  Numbers numbers({folded_.data.get(), folded_.length});
  uint64_t table = 0;
  if (folded_.length == 0 || !numbers.Next(&table)) return false;
  const size_t first = static_cast<size_t>(numbers.at() - folded_.data.get());
  if (table > folded_.length - first) return false;
  const size_t end = folded_.length - static_cast<size_t>(table);
  return ReadTable({folded_.data.get() + end, static_cast<size_t>(table)}) && PlaceBodies(first, end);
}

size_t FoldedGroup::memory() const {
  return folded_.length + records_.size() * (sizeof(Record) + kDigestBytes) + cuts_.size() * sizeof(Cut);
}

bool FoldedGroup::ReadTable(ByteSpan table) {
  const size_t count = static_cast<size_t>(facts_.records);
  // The shortest row has three bytes: memory is taken for what can be there.
  if (count > table.length / 3) return false;
  records_.assign(count + 1, Record());
  Numbers numbers(table);
  uint64_t start = 0;
  for (size_t i = 0; i < count; ++i) {
    uint64_t first = 0;
    uint64_t body = 0;
    uint64_t cuts = 0;
    if (!numbers.Next(&first) || !numbers.Next(&body) || !numbers.Next(&cuts)) return false;
    const uint64_t kind = first & 15;
    const uint64_t form = first >> 4;
    if (kind < kBlob || kind > kPrune || form > kWhole) return false;
    const uint64_t matter = body + cuts * kDigestBytes;
    if (body > folded_.length || matter > kRecordMax) return false;
    if (form == kWhole ? matter < kRecordHeadBytes : matter > kPayloadMax) return false;
    const uint64_t length = matter + (form == kPlain ? kRecordMinBytes : kRecordCheckBytes);
    if (length > kRecordMax || length > facts_.bytes - start) return false;
    Record& record = records_[i];
    record.start = static_cast<uint32_t>(start);
    record.body_bytes = static_cast<uint32_t>(body);
    record.first_cut = static_cast<uint32_t>(cuts_.size());
    record.kind = static_cast<uint8_t>(kind);
    record.form = static_cast<uint8_t>(form);
    for (uint64_t left = body; cuts > 0; --cuts) {
      uint64_t skip = 0;
      uint64_t back = 0;
      if (!numbers.Next(&skip) || !numbers.Next(&back) || skip > left || back < 1 || back > i) return false;
      left -= skip;
      cuts_.push_back({static_cast<uint32_t>(skip), static_cast<uint32_t>(i - back)});
    }
    start += length;
  }
  records_[count].start = static_cast<uint32_t>(start);
  records_[count].first_cut = static_cast<uint32_t>(cuts_.size());
  return numbers.ended() && start == facts_.bytes;
}

// Where each body stands; whether bodies and rows fill the place from `first` to `end`.
bool FoldedGroup::PlaceBodies(size_t first, size_t end) {
  // By kind and length, the class that has room still.
  std::unordered_map<uint32_t, uint32_t> open;
  size_t at = first;
  for (size_t i = 0; i + 1 < records_.size(); ++i) {
    Record& record = records_[i];
    if (!IsRow(record.form, record.kind, record.body_bytes)) {
      record.body_at = static_cast<uint32_t>(at);
      at += record.body_bytes;
      continue;
    }
    const uint32_t key = record.kind * (kRowBodyMax + 1) + record.body_bytes;
    const auto [found, is_new] = open.try_emplace(key, static_cast<uint32_t>(classes_.size()));
    if (!is_new && classes_[found->second].count == kClassRows) found->second = static_cast<uint32_t>(classes_.size());
    if (found->second == classes_.size()) {
      classes_.emplace_back();
      classes_.back().bytes = record.body_bytes;
    }
    record.row_class = found->second;
    record.body_at = classes_[found->second].count++;
  }
  for (RowClass& one : classes_) {
    one.at = at;
    at += size_t{one.count} * one.bytes;
  }
  return at == end;
}

ByteSpan FoldedGroup::Body(const Record& record) {
  const size_t bytes = record.body_bytes;
  if (bytes == 0) return {folded_.data.get(), 0};
  if (record.row_class == kNoClass) return {folded_.data.get() + record.body_at, bytes};
  RowClass& own = classes_[record.row_class];
  if (own.bodies.empty()) {
    own.bodies.resize(bytes * own.count);
    const uint8_t* from = folded_.data.get() + own.at;
    for (size_t column = 0; column < bytes; ++column) {
      uint8_t byte = 0;
      for (size_t to = column; to < own.bodies.size(); to += bytes) {
        byte = static_cast<uint8_t>(byte + *from++);
        own.bodies[to] = byte;
      }
    }
  }
  return {own.bodies.data() + record.body_at * bytes, bytes};
}

// The matter of a record, in `room` unless nothing was cut out of it. Digests of what it names must be known.
ByteSpan FoldedGroup::Matter(size_t i, std::vector<uint8_t>* room) {
  const ByteSpan body = Body(records_[i]);
  const size_t first = records_[i].first_cut;
  const size_t end = records_[i + 1].first_cut;
  if (first == end) return body;
  room->resize(body.length + (end - first) * kDigestBytes);
  uint8_t* to = room->data();
  const uint8_t* from = body.data;
  for (size_t cut = first; cut < end; ++cut) {
    const size_t skip = cuts_[cut].skip;
    memcpy(to, from, skip);
    memcpy(to + skip, DigestOf(cuts_[cut].named), kDigestBytes);
    from += skip;
    to += skip + kDigestBytes;
  }
  memcpy(to, from, static_cast<size_t>(body.data + body.length - from));
  return {room->data(), room->size()};
}

// Makes the digest of a record known, and all that it follows from: checkpoints name one another, so there may be many.
void FoldedGroup::Learn(size_t record) {
  if (known_.empty()) {
    digests_.resize(records_.size() * kDigestBytes);
    known_.resize(records_.size());
  }
  if (known_[record] != 0) return;
  struct Waiting {
    size_t record;
    // Which of its cuts it is at: each is looked at once.
    size_t cut;
  };
  std::vector<Waiting> waiting{{record, records_[record].first_cut}};
  while (!waiting.empty()) {
    Waiting& top = waiting.back();
    const size_t end = records_[top.record + 1].first_cut;
    while (top.cut < end && known_[cuts_[top.cut].named] != 0) ++top.cut;
    if (top.cut < end) {
      const size_t named = cuts_[top.cut].named;
      waiting.push_back({named, records_[named].first_cut});
      continue;
    }
    const ByteSpan matter = Matter(top.record, &matter_);
    uint8_t* digest = DigestOf(top.record);
    if (records_[top.record].form == kPlain) {
      facts_.hash(matter.data, matter.length, digest);
    } else {
      memcpy(digest, matter.data + kRecordDigestAt, kDigestBytes);
    }
    known_[top.record] = 1;
    waiting.pop_back();
  }
}

// The whole plain record; it stays until the next one is made.
ByteSpan FoldedGroup::Make(size_t i) {
  Learn(i);
  const ByteSpan matter = Matter(i, &matter_);
  const size_t head = records_[i].form == kPlain ? kRecordHeadBytes : 0;
  const size_t end = head + matter.length;
  made_.resize(end + kRecordCheckBytes);
  uint8_t* record = made_.data();
  if (head > 0) {
    memset(record, 0, head);
    PutLittle(record, kRecordMagic, 4);
    record[4] = records_[i].kind;
    PutLittle(record + 12, matter.length, 4);
    PutLittle(record + 16, matter.length, 4);
    memcpy(record + kRecordDigestAt, DigestOf(i), kDigestBytes);
  }
  if (matter.length > 0) memcpy(record + head, matter.data, matter.length);
  PutLittle(record + end, xxhash::Hash64(record, end), kRecordCheckBytes);
  return {made_.data(), made_.size()};
}

// The record that a byte is of.
size_t FoldedGroup::Find(uint64_t at) const {
  size_t low = 0;
  size_t high = records_.size() - 1;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (records_[middle + 1].start <= at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void FoldedGroup::Copy(uint64_t from, uint8_t* into, size_t length) {
  if (from >= facts_.bytes) return;
  const uint64_t end = from + std::min<uint64_t>(length, facts_.bytes - from);
  for (size_t i = Find(from); i + 1 < records_.size() && records_[i].start < end; ++i) {
    const uint64_t start = records_[i].start;
    const ByteSpan record = Make(i);
    const uint64_t first = std::max(from, start);
    const uint64_t last = std::min<uint64_t>(end, start + record.length);
    memcpy(into + (first - from), record.data + (first - start), static_cast<size_t>(last - first));
  }
}

}  // namespace dk::dense
