// The saved form of a stat table. All integers little-endian.
//
//   file   := magic "DKSI", u16 version = 1, u16 flags = 0, u64 count, entry*, u64 xxh3
//   entry  := varint shared, varint rest, bytes[rest], row
//   row    := u8 type, u8 trusted, u16 mode, u32 uid, u32 gid, u32 nlink,
//             i64 size, i64 mtimeNs, i64 ctimeNs, i64 ino, i64 dev, i64 blocks
//
// Entries ascend by path, compared component by component; `shared` is how many
// bytes a path has in common with the one before it. The checksum is XXH3-64 of
// everything before it. A cache: a damaged file costs a rescan, nothing else.
#include <algorithm>
#include <cstring>
#include <utility>

#include "common/varint.h"
#include "pages/beneath.h"
#include "pages/stat_table.h"
#include "xxhash/xxhash_face.h"

namespace dk::pages {
namespace {

constexpr char kMagic[8] = {'D', 'K', 'S', 'I', 1, 0, 0, 0};
constexpr size_t kHeadBytes = 16;
constexpr size_t kSumBytes = 8;
constexpr size_t kRowBytes = 64;
constexpr size_t kEntryBytesMin = kRowBytes + 2;
constexpr size_t kPathBytesMax = 4095;

template <typename Integer>
void PutInteger(std::string* out, Integer value) {
  char bytes[sizeof value];
  for (size_t i = 0; i < sizeof value; ++i) {
    bytes[i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
  }
  out->append(bytes, sizeof value);
}

template <typename Integer>
Integer GetInteger(const uint8_t* bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(Integer); ++i) value |= uint64_t{bytes[i]} << (8 * i);
  return static_cast<Integer>(value);
}

void PutVarintText(std::string* out, size_t value) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

const uint8_t* Unsigned(std::string_view bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

void PutRow(std::string* out, const StatRow& row, bool trusted) {
  PutInteger(out, static_cast<uint8_t>(row[kType]));
  PutInteger(out, static_cast<uint8_t>(trusted ? 1 : 0));
  PutInteger(out, static_cast<uint16_t>(row[kMode]));
  PutInteger(out, static_cast<uint32_t>(row[kUid]));
  PutInteger(out, static_cast<uint32_t>(row[kGid]));
  PutInteger(out, static_cast<uint32_t>(row[kNlink]));
  for (const Column column : {kSize, kMtimeNs, kCtimeNs, kIno, kDev, kBlocks}) {
    PutInteger(out, row[column]);
  }
}

StatRow GetRow(const uint8_t* bytes) {
  StatRow row{};
  row[kType] = bytes[0];
  row[kMode] = GetInteger<uint16_t>(bytes + 2);
  row[kUid] = GetInteger<uint32_t>(bytes + 4);
  row[kGid] = GetInteger<uint32_t>(bytes + 8);
  row[kNlink] = GetInteger<uint32_t>(bytes + 12);
  size_t at = 16;
  for (const Column column : {kSize, kMtimeNs, kCtimeNs, kIno, kDev, kBlocks}) {
    row[column] = GetInteger<int64_t>(bytes + at);
    at += 8;
  }
  return row;
}

size_t SharedBytes(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + most, b.begin()).first - a.begin());
}

// '/' sorts below every other byte: the order of a walk that takes names in order.
bool ComesBefore(std::string_view a, std::string_view b) {
  const size_t shared = SharedBytes(a, b);
  if (shared == b.size()) return false;
  if (shared == a.size()) return true;
  const auto rank = [](char byte) { return byte == '/' ? -1 : static_cast<unsigned char>(byte); };
  return rank(a[shared]) < rank(b[shared]);
}

}  // namespace

std::string StatTable::Save() const {
  std::string out(kMagic, sizeof kMagic);
  PutInteger(&out, static_cast<uint64_t>(present_));
  out.reserve(kHeadBytes + present_ * (kRowBytes + 24));
  std::string previous;
  // A stack of (node, path) instead of recursion; children are pushed in reverse order.
  std::vector<std::pair<Node, std::string>> stack{{kRoot, std::string()}};
  std::vector<Node> children;
  while (!stack.empty()) {
    const auto [node, path] = std::move(stack.back());
    stack.pop_back();
    if (IsPresent(node)) {
      const size_t shared = SharedBytes(previous, path);
      PutVarintText(&out, shared);
      PutVarintText(&out, path.size() - shared);
      out.append(path, shared, std::string::npos);
      PutRow(&out, RowAt(node), nodes_[node].trusted == 1);
      previous = path;
    }
    children.clear();
    for (Node child = FirstChild(node); child != kNone; child = NextSibling(child)) {
      children.push_back(child);
    }
    std::sort(children.begin(), children.end(), [this](Node a, Node b) { return NameAt(a) > NameAt(b); });
    for (const Node child : children) {
      stack.emplace_back(child, path.empty() ? std::string(NameAt(child)) : path + "/" + std::string(NameAt(child)));
    }
  }
  PutInteger(&out, xxhash::Hash64(Unsigned(out), out.size()));
  return out;
}

bool StatTable::Load(std::string_view bytes) {
  Clear();
  if (bytes.size() < kHeadBytes + kSumBytes) return false;
  const size_t body = bytes.size() - kSumBytes;
  const uint8_t* data = Unsigned(bytes);
  if (std::memcmp(data, kMagic, sizeof kMagic) != 0) return false;
  if (GetInteger<uint64_t>(data + body) != xxhash::Hash64(data, body)) return false;
  const auto count = GetInteger<uint64_t>(data + sizeof kMagic);
  if (count > (body - kHeadBytes) / kEntryBytesMin) return false;
  nodes_.reserve(count + 1);
  Reader reader(data + kHeadBytes, body - kHeadBytes);
  std::string path;
  const auto load_entry = [&](bool first) {
    uint64_t shared = 0;
    uint64_t rest = 0;
    if (!reader.Varint(&shared) || !reader.Varint(&rest)) return false;
    if (shared > path.size() || rest > kPathBytesMax) return false;
    const uint8_t* text = reader.Take(rest);
    const uint8_t* row = reader.Take(kRowBytes);
    if (text == nullptr || row == nullptr || row[1] > 1) return false;
    if (row[0] < kFile || row[0] > kSpecial) return false;
    std::string next = path.substr(0, shared).append(reinterpret_cast<const char*>(text), rest);
    if (!next.empty() && !IsSafePath(next)) return false;
    if (!first && !ComesBefore(path, next)) return false;
    path = std::move(next);
    return Put(path, GetRow(row), row[1] == 1);
  };
  for (uint64_t i = 0; i < count; ++i) {
    if (!load_entry(i == 0)) {
      Clear();
      return false;
    }
  }
  if (reader.left() != 0) {
    Clear();
    return false;
  }
  return true;
}

}  // namespace dk::pages
