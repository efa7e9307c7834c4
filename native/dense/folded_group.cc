#include "dense/folded_group.h"

#include <algorithm>
#include <cstring>
#include <iterator>
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

size_t FoldedGroup::TableEnd(ByteSpan first, size_t length) {
  Numbers numbers(first);
  uint64_t table = 0;
  if (!numbers.Next(&table)) return 0;
  const size_t before = static_cast<size_t>(numbers.at() - first.data);
  return table > length - before ? 0 : before + static_cast<size_t>(table);
}

bool FoldedGroup::Open(ByteSpan front, size_t length, const FoldFacts& facts) {
  facts_ = facts;
  folded_bytes_ = length;
  if (facts_.bytes > kGroupBytesMax || facts_.records < 1 || facts_.records > facts_.bytes / kRecordMinBytes) {
    return false;
  }
  const size_t end = TableEnd(front, length);
  if (end == 0 || end > front.length) return false;
  Numbers before(front);
  uint64_t table = 0;
  before.Next(&table);
  return ReadTable({before.at(), static_cast<size_t>(table)}) && PlaceBodies(end);
}

size_t FoldedGroup::memory() const {
  size_t bodies = 0;
  for (const auto& [record, bytes] : some_) bodies += bytes.size();
  return folded_.length + bodies + records_.size() * (sizeof(Record) + kDigestBytes) + cuts_.size() * sizeof(Cut);
}

void FoldedGroup::Hold(FoldedBytes folded) {
  folded_ = std::move(folded);
  for (auto it = some_.begin(); it != some_.end();) it = IsWithin(it->first) ? some_.erase(it) : std::next(it);
}

void FoldedGroup::Add(Bodies bodies) {
  if (bodies.all.length > folded_.length) Hold(std::move(bodies.all));
  for (auto& [record, bytes] : bodies.some) {
    if (!IsHeld(record)) some_.emplace(record, std::move(bytes));
  }
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
    if (body > folded_bytes_ || matter > kRecordMax) return false;
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

// Where each body stands; whether rows and bodies fill the place from `first` to the end.
bool FoldedGroup::PlaceBodies(size_t first) {
  // By kind and length, the class that has room still.
  std::unordered_map<uint32_t, uint32_t> open;
  for (size_t i = 0; i + 1 < records_.size(); ++i) {
    Record& record = records_[i];
    if (!IsRow(record.form, record.kind, record.body_bytes)) continue;
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
  size_t at = first;
  for (RowClass& one : classes_) {
    one.at = at;
    at += size_t{one.count} * one.bytes;
  }
  bodies_at_ = at;
  for (size_t i = 0; i + 1 < records_.size(); ++i) {
    if (records_[i].row_class != kNoClass) continue;
    records_[i].body_at = static_cast<uint32_t>(at);
    at += records_[i].body_bytes;
  }
  return at == folded_bytes_;
}

// Whether the body stands within the folded bytes that are held.
bool FoldedGroup::IsWithin(size_t i) const {
  const Record& record = records_[i];
  if (record.row_class != kNoClass || record.body_bytes == 0) return true;
  return size_t{record.body_at} + record.body_bytes <= folded_.length;
}

bool FoldedGroup::IsHeld(size_t i) const { return IsWithin(i) || some_.count(static_cast<uint32_t>(i)) > 0; }

std::vector<Body> FoldedGroup::Missing(const Stretch& wanted) const {
  std::vector<Body> missing;
  if (wanted.from >= facts_.bytes || folded_.length == folded_bytes_) return missing;
  const uint64_t end = wanted.from + std::min(wanted.length, facts_.bytes - wanted.from);
  std::vector<uint8_t> seen(records_.size());
  std::vector<size_t> waiting;
  for (size_t i = Find(wanted.from); i + 1 < records_.size() && records_[i].start < end; ++i) {
    seen[i] = 1;
    waiting.push_back(i);
  }
  while (!waiting.empty()) {
    const size_t i = waiting.back();
    waiting.pop_back();
    const Record& record = records_[i];
    if (!IsHeld(i)) missing.push_back({static_cast<uint32_t>(i), record.body_at, record.body_bytes});
    for (size_t cut = record.first_cut; cut < records_[i + 1].first_cut; ++cut) {
      const size_t named = cuts_[cut].named;
      // To put a digest in, what it is of is needed as well.
      if (seen[named] != 0 || (!known_.empty() && known_[named] != 0)) continue;
      seen[named] = 1;
      waiting.push_back(named);
    }
  }
  std::sort(missing.begin(), missing.end(), [](const Body& one, const Body& other) { return one.at < other.at; });
  return missing;
}

ByteSpan FoldedGroup::BodyOf(size_t i) {
  const Record& record = records_[i];
  const size_t bytes = record.body_bytes;
  if (bytes == 0) return {folded_.data.get(), 0};
  if (record.row_class == kNoClass) {
    if (IsWithin(i)) return {folded_.data.get() + record.body_at, bytes};
    return {some_.at(static_cast<uint32_t>(i)).data(), bytes};
  }
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
  const ByteSpan body = BodyOf(i);
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
