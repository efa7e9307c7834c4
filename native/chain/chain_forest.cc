#include "chain/chain_forest.h"

#include <string.h>

#include <algorithm>
#include <numeric>

#include "common/record_layout.h"

namespace dk::chain {

Forest::Forest(const std::vector<ByteSpan>& memory, const std::vector<FileRecord>& files,
               const std::vector<const uint8_t*>& wanted) {
  for (const ByteSpan& piece : memory) AddRecords(piece);
  for (size_t i = 0; i < files.size(); ++i) {
    Node node;
    memcpy(node.digest.data(), files[i].digest, kDigestBytes);
    node.file_record = static_cast<uint32_t>(i);
    nodes_.push_back(node);
  }
  order_.resize(nodes_.size());
  std::iota(order_.begin(), order_.end(), 0u);
  std::sort(order_.begin(), order_.end(), [this](uint32_t one, uint32_t other) {
    return nodes_[one].digest != nodes_[other].digest ? nodes_[one].digest < nodes_[other].digest : one < other;
  });
  FindContexts();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const uint32_t node = Find(wanted[i]);
    // Of a blob that is asked for twice only the first one is made.
    if (node == kNone || nodes_[node].wanted != kNone || !IsWhole(node)) continue;
    nodes_[node].wanted = static_cast<uint32_t>(i);
    Need(node);
  }
  DivideIntoRuns();
}

void Forest::AddRecords(ByteSpan piece) {
  for (size_t at = 0; at < piece.length;) {
    const uint64_t bytes = RecordBytes(piece, at);
    if (bytes == 0 || bytes > piece.length - at) return;
    Node node;
    memcpy(node.digest.data(), piece.data + at + kRecordDigestAt, kDigestBytes);
    if (!ReadRecord(piece, at, node.digest.data(), &node.link)) return;
    nodes_.push_back(node);
    at += static_cast<size_t>(bytes);
  }
}

uint32_t Forest::Find(const uint8_t* digest) const {
  const auto at = std::lower_bound(order_.begin(), order_.end(), digest, [this](uint32_t node, const uint8_t* wanted) {
    return memcmp(nodes_[node].digest.data(), wanted, kDigestBytes) < 0;
  });
  if (at == order_.end() || memcmp(nodes_[*at].digest.data(), digest, kDigestBytes) != 0) return kNone;
  return *at;
}

void Forest::FindContexts() {
  for (Node& node : nodes_) {
    if (node.file_record != kNone || node.link.context_list.length == 0) continue;
    const uint8_t* digest = nullptr;
    if (ReadContext(node.link.context_list, &digest, &node.below_bytes)) node.below = Find(digest);
    // Each is less deep than what is coded against it, so that no chain comes back to where it began. Those that have
    // not been read are decoded without a context, whatever they say.
    node.broken = node.below == kNone || nodes_[node.below].link.depth >= node.link.depth;
    if (node.broken) node.below = kNone;
  }
}

bool Forest::IsWhole(uint32_t node) const {
  while (nodes_[node].below != kNone) node = nodes_[node].below;
  return !nodes_[node].broken;
}

void Forest::Need(uint32_t node) {
  while (!nodes_[node].needed) {
    nodes_[node].needed = true;
    node = nodes_[node].below;
    if (node == kNone) return;
    nodes_[node].children += 1;
  }
}

void Forest::DivideIntoRuns() {
  std::vector<uint32_t> ends;
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    if (node.needed && (node.wanted != kNone || node.children > 1)) ends.push_back(i);
  }
  // A run begins at the end of one that is less deep, and comes after it.
  std::sort(ends.begin(), ends.end(), [this](uint32_t one, uint32_t other) {
    const Node& a = nodes_[one];
    const Node& b = nodes_[other];
    return a.link.depth != b.link.depth ? a.link.depth < b.link.depth : a.wanted < b.wanted;
  });
  std::vector<uint32_t> run_of(nodes_.size(), kNone);
  for (uint32_t i = 0; i < ends.size(); ++i) run_of[ends[i]] = i;
  runs_.resize(ends.size());
  for (uint32_t i = 0; i < ends.size(); ++i) {
    Run& run = runs_[i];
    uint32_t node = ends[i];
    do {
      run.nodes.push_back(node);
      node = nodes_[node].below;
    } while (node != kNone && run_of[node] == kNone);
    std::reverse(run.nodes.begin(), run.nodes.end());
    if (node == kNone) continue;
    run.below = run_of[node];
    runs_[run.below].uses += 1;
  }
}

}  // namespace dk::chain
