#include "pages/stat_table.h"

#include <sys/random.h>

#include <cstring>

#include "xxhash/xxhash_face.h"

namespace dk::pages {
namespace {

constexpr size_t kSlotsMin = 64;
constexpr size_t kGarbageMin = 1 << 16;

uint64_t RandomSeed() {
  uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) {
    seed = reinterpret_cast<uintptr_t>(&seed) * 0x9e3779b97f4a7c15u;
  }
  return seed;
}

// Takes the first component off `path`.
std::string_view TakeName(std::string_view* path) {
  const size_t slash = path->find('/');
  const std::string_view name = path->substr(0, slash);
  path->remove_prefix(slash == std::string_view::npos ? path->size() : slash + 1);
  return name;
}

}  // namespace

StatTable::StatTable() : seed_(RandomSeed()) { Clear(); }

void StatTable::Clear() {
  Entry root{};
  root.parent = root.first_child = root.next_sibling = root.previous_sibling = kNone;
  nodes_.assign(1, root);
  names_.clear();
  slots_.assign(kSlotsMin, 0);
  used_slots_ = garbage_bytes_ = present_ = 0;
  free_ = kNone;
}

uint32_t StatTable::HashOf(Node parent, std::string_view name) const {
  const uint64_t hash = xxhash::Hash64(reinterpret_cast<const uint8_t*>(name.data()), name.size(),
                                       seed_ + parent * uint64_t{0x9e3779b97f4a7c15});
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

std::string_view StatTable::NameAt(Node node) const {
  return std::string_view(names_).substr(nodes_[node].name_offset, nodes_[node].name_bytes);
}

StatTable::Node StatTable::FindChild(Node parent, std::string_view name) const {
  const uint32_t hash = HashOf(parent, name);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at] != 0; at = (at + 1) & mask) {
    const Entry& entry = nodes_[slots_[at]];
    if (entry.hash == hash && entry.parent == parent && NameAt(slots_[at]) == name) {
      return slots_[at];
    }
  }
  return kNone;
}

StatTable::Node StatTable::Find(std::string_view path) const {
  Node node = kRoot;
  while (!path.empty() && node != kNone) node = FindChild(node, TakeName(&path));
  return node;
}

bool StatTable::Put(std::string_view path, const StatRow& row, bool trusted) {
  const int64_t type = row[kType];
  if (type < kFile || type > kSpecial) {
    Remove(path);
    return true;
  }
  Node node = kRoot;
  while (!path.empty()) {
    const std::string_view name = TakeName(&path);
    const Node child = FindChild(node, name);
    node = child != kNone ? child : AddChild(node, name);
    if (node == kNone) return false;
  }
  // What is no directory any more has nothing below it.
  if (type != kDirectory) {
    while (nodes_[node].first_child != kNone) FreeSubtree(nodes_[node].first_child);
  }
  Entry& entry = nodes_[node];
  if (entry.type == 0) ++present_;
  entry.type = static_cast<uint8_t>(type) & 0x7f;
  entry.trusted = trusted ? 1 : 0;
  entry.mode = static_cast<uint16_t>(row[kMode]);
  entry.uid = static_cast<uint32_t>(row[kUid]);
  entry.gid = static_cast<uint32_t>(row[kGid]);
  entry.nlink = static_cast<uint32_t>(row[kNlink]);
  entry.size = row[kSize];
  entry.mtime_ns = row[kMtimeNs];
  entry.ctime_ns = row[kCtimeNs];
  entry.ino = row[kIno];
  entry.dev = row[kDev];
  entry.blocks = row[kBlocks];
  return true;
}

StatRow StatTable::RowAt(Node node) const {
  const Entry& e = nodes_[node];
  return StatRow{e.type, e.mode, e.uid, e.gid, e.size, e.mtime_ns, e.ctime_ns, e.ino, e.dev, e.nlink, e.blocks};
}

bool StatTable::IsUnchanged(Node node, const StatRow& row) const {
  const Entry& e = nodes_[node];
  return e.trusted == 1 && e.ctime_ns == row[kCtimeNs] && e.mtime_ns == row[kMtimeNs] && e.size == row[kSize] &&
         e.ino == row[kIno] && e.dev == row[kDev] && e.type == row[kType] && e.mode == row[kMode] &&
         e.uid == row[kUid] && e.gid == row[kGid] && e.nlink == row[kNlink];
}

StatTable::Node StatTable::AddChild(Node parent, std::string_view name) {
  if (name.size() > UINT8_MAX || names_.size() + name.size() >= UINT32_MAX) return kNone;
  Node node = free_;
  if (node != kNone) {
    free_ = nodes_[node].next_sibling;
  } else {
    if (nodes_.size() >= kNone) return kNone;
    node = static_cast<Node>(nodes_.size());
    nodes_.emplace_back();
  }
  Entry& entry = nodes_[node];
  entry = Entry{};
  entry.parent = parent;
  entry.first_child = entry.previous_sibling = kNone;
  entry.next_sibling = nodes_[parent].first_child;
  if (entry.next_sibling != kNone) nodes_[entry.next_sibling].previous_sibling = node;
  nodes_[parent].first_child = node;
  entry.name_offset = static_cast<uint32_t>(names_.size());
  entry.name_bytes = static_cast<uint8_t>(name.size());
  entry.hash = HashOf(parent, name);
  names_.append(name);
  if ((used_slots_ + 1) * 4 > slots_.size() * 3) Rehash(slots_.size() * 2);
  InsertSlot(node);
  return node;
}

void StatTable::InsertSlot(Node node) {
  const size_t mask = slots_.size() - 1;
  size_t at = nodes_[node].hash & mask;
  while (slots_[at] != 0) at = (at + 1) & mask;
  slots_[at] = node;
  ++used_slots_;
}

void StatTable::EraseSlot(Node node) {
  const size_t mask = slots_.size() - 1;
  size_t hole = nodes_[node].hash & mask;
  while (slots_[hole] != node) hole = (hole + 1) & mask;
  // Backward shift: no tombstones, so a table that lives for months does not silt up.
  for (size_t at = (hole + 1) & mask; slots_[at] != 0; at = (at + 1) & mask) {
    const size_t home = nodes_[slots_[at]].hash & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = 0;
  --used_slots_;
}

void StatTable::Rehash(size_t slots) {
  std::vector<uint32_t> before(slots, 0);
  before.swap(slots_);
  used_slots_ = 0;
  for (const uint32_t node : before) {
    if (node != 0) InsertSlot(node);
  }
}

void StatTable::Unlink(Node node) {
  const Entry& entry = nodes_[node];
  if (entry.previous_sibling != kNone) {
    nodes_[entry.previous_sibling].next_sibling = entry.next_sibling;
  } else {
    nodes_[entry.parent].first_child = entry.next_sibling;
  }
  if (entry.next_sibling != kNone) {
    nodes_[entry.next_sibling].previous_sibling = entry.previous_sibling;
  }
}

// The node has no children.
void StatTable::FreeOne(Node node) {
  Unlink(node);
  EraseSlot(node);
  Entry& entry = nodes_[node];
  if (entry.type != 0) --present_;
  garbage_bytes_ += entry.name_bytes;
  entry = Entry{};
  entry.parent = entry.first_child = entry.previous_sibling = kNone;
  entry.next_sibling = free_;
  free_ = node;
}

// Without recursion: a hostile tree may be thousands of levels deep.
void StatTable::FreeSubtree(Node top) {
  Node node = top;
  for (;;) {
    while (nodes_[node].first_child != kNone) node = nodes_[node].first_child;
    const Node parent = nodes_[node].parent;
    FreeOne(node);
    if (node == top) return;
    node = parent;
  }
}

// Drops the node, and its parents, as long as they hold nothing.
void StatTable::PruneEmpty(Node node) {
  while (node != kRoot && nodes_[node].type == 0 && nodes_[node].first_child == kNone) {
    const Node parent = nodes_[node].parent;
    FreeOne(node);
    node = parent;
  }
}

void StatTable::Remove(std::string_view path) {
  if (path.empty()) return Clear();
  const Node node = Find(path);
  if (node == kNone) return;
  const Node parent = nodes_[node].parent;
  FreeSubtree(node);
  PruneEmpty(parent);
  if (garbage_bytes_ > kGarbageMin && garbage_bytes_ * 2 > names_.size()) CompactNames();
}

void StatTable::CompactNames() {
  std::string kept;
  kept.reserve(names_.size() - garbage_bytes_);
  for (const uint32_t node : slots_) {
    if (node == 0) continue;
    const std::string_view name = NameAt(node);
    const auto offset = static_cast<uint32_t>(kept.size());
    kept.append(name);
    nodes_[node].name_offset = offset;
  }
  names_ = std::move(kept);
  garbage_bytes_ = 0;
}

}  // namespace dk::pages
