// What is remembered of every captured entry: a tree of names with a packed
// stat row each, found through one open-addressing table keyed by (parent, name).
//
//   nodes_ : [root][node][node]...   88 bytes each, freed ones chained by next_sibling
//   names_ : "etc" "hosts" ...       bytes of all names, compacted when half is garbage
//   slots_ : node numbers, 0 = empty (the root is never in the table)
//
// Children of a directory form a doubly linked list, so that what vanished is
// found without a search. Plain value type: copying is a few memcpy's, which is
// how a running scan keeps its own state of things. Not thread-safe for writers;
// any number of threads may read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pages/stat_row.h"

namespace dk::pages {

class StatTable {
 public:
  using Node = uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = UINT32_MAX;

  StatTable();

  // Entries remembered, the root included when it was put.
  size_t count() const { return present_; }

  // `path` is safe or '' for the root. A row whose type is no entry type makes
  // the path, and what is below it, forgotten. False when the table is full (2^32 nodes or bytes of names).
  bool Put(std::string_view path, const StatRow& row, bool trusted);
  // Forgets the path and everything below it.
  void Remove(std::string_view path);
  void Clear();

  Node Find(std::string_view path) const;
  Node FindChild(Node parent, std::string_view name) const;
  // Whether the node itself was put (not only something below it).
  bool IsPresent(Node node) const { return nodes_[node].type != 0; }
  bool IsDirectory(Node node) const { return nodes_[node].type == kDirectory; }
  StatRow RowAt(Node node) const;
  // Type, mode, uid, gid, size, mtime, ctime, inode, device and link count agree, and the entry is trusted.
  bool IsUnchanged(Node node, const StatRow& row) const;
  std::string_view NameAt(Node node) const;
  Node FirstChild(Node node) const { return nodes_[node].first_child; }
  Node NextSibling(Node node) const { return nodes_[node].next_sibling; }
  // Node numbers are below this: the size of a table of marks.
  size_t node_bound() const { return nodes_.size(); }

  // stat_file.cc: the saved form.
  std::string Save() const;
  // False, and an empty table, when the bytes are damaged.
  bool Load(std::string_view bytes);

 private:
  struct Entry {
    int64_t size, mtime_ns, ctime_ns, ino, dev, blocks;
    uint32_t uid, gid, nlink;
    uint16_t mode;
    uint8_t type : 7;  // 0: only a parent of what was put
    uint8_t trusted : 1;
    uint8_t name_bytes;
    uint32_t parent, first_child, next_sibling, previous_sibling;
    uint32_t name_offset, hash;
  };

  uint32_t HashOf(Node parent, std::string_view name) const;
  Node AddChild(Node parent, std::string_view name);
  void Unlink(Node node);
  void FreeSubtree(Node node);
  void FreeOne(Node node);
  void PruneEmpty(Node node);
  void InsertSlot(Node node);
  void EraseSlot(Node node);
  void Rehash(size_t slots);
  void CompactNames();

  std::vector<Entry> nodes_;
  std::string names_;
  std::vector<uint32_t> slots_;
  size_t used_slots_ = 0;
  size_t garbage_bytes_ = 0;
  size_t present_ = 0;
  uint32_t free_ = UINT32_MAX;
  // Names are chosen by whoever writes the files: a secret keeps them from colliding on purpose.
  uint64_t seed_;
};

}  // namespace dk::pages
