// Where records begin is found by their heads: from one to the next by the length in it, and by a search for the first
// one. What looks like a head in the bytes of a record may hide the next records. These are then missing, as others are
// that stand elsewhere; what is found counts only when it is whole.
#include "chain/chain_walk.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <set>

#include "common/little.h"
#include "common/record_layout.h"

namespace dk::chain {
namespace {

// Ten times what a window of the shortest deltas holds.
constexpr size_t kHeadsMax = size_t{1} << 18;
// So many records that claim to be of one blob are looked at.
constexpr int kTwinsMax = 16;

using Digest = std::array<uint8_t, kDigestBytes>;

Digest Copy(const uint8_t* digest) {
  Digest copy;
  memcpy(copy.data(), digest, kDigestBytes);
  return copy;
}

struct Head {
  const uint8_t* digest;
  size_t window;
  size_t at;
};

class Heads {
 public:
  Heads(const std::vector<ByteSpan>& windows, const std::vector<Start>& starts) : windows_(windows) {
    for (const Start& start : starts) {
      // As long as the caller says: else the lengths in heads that overlap could make the work grow.
      if (RecordBytes(windows[start.window], start.at) != start.length) continue;
      heads_.push_back({start.digest, start.window, start.at});
    }
    for (size_t i = 0; i < windows.size(); ++i) Add(i);
    std::sort(heads_.begin(), heads_.end(), [](const Head& one, const Head& other) {
      const int order = memcmp(one.digest, other.digest, kDigestBytes);
      return order != 0 ? order < 0 : one.at < other.at;
    });
  }

  // A whole record of the blob, less deep than `depth`.
  bool Find(const uint8_t* digest, uint8_t depth, Link* link, ByteSpan* record) const {
    auto at = std::lower_bound(heads_.begin(), heads_.end(), digest, [](const Head& head, const uint8_t* wanted) {
      return memcmp(head.digest, wanted, kDigestBytes) < 0;
    });
    for (int twin = 0; twin < kTwinsMax && at != heads_.end(); ++twin, ++at) {
      if (memcmp(at->digest, digest, kDigestBytes) != 0) return false;
      const ByteSpan& window = windows_[at->window];
      if (!ReadRecord(window, at->at, digest, link) || link->depth >= depth) continue;
      *record = {window.data + at->at, static_cast<size_t>(RecordBytes(window, at->at))};
      return true;
    }
    return false;
  }

 private:
  void Add(size_t number) {
    const ByteSpan& window = windows_[number];
    for (size_t at = 0; at < window.length && heads_.size() < kHeadsMax;) {
      const uint64_t bytes = RecordBytes(window, at);
      if (bytes > 0) heads_.push_back({window.data + at + kRecordDigestAt, number, at});
      if (bytes > 0 && bytes <= window.length - at) {
        at += static_cast<size_t>(bytes);
        continue;
      }
      at += 1;
      const void* next = memchr(window.data + at, kRecordMagic & 0xff, window.length - at);
      if (next == nullptr) return;
      at = static_cast<size_t>(static_cast<const uint8_t*>(next) - window.data);
    }
  }

  const std::vector<ByteSpan>& windows_;
  std::vector<Head> heads_;
};

}  // namespace

Walk FollowChains(const std::vector<ByteSpan>& windows, const std::vector<Start>& starts) {
  const Heads heads(windows, starts);
  std::set<Digest> seen;
  Walk walk;
  for (const Start& start : starts) {
    const uint8_t* digest = start.digest;
    // More than any: of the first one nothing is known.
    uint8_t depth = 0xff;
    while (seen.insert(Copy(digest)).second) {
      Link link;
      ByteSpan record;
      if (!heads.Find(digest, depth, &link, &record)) {
        if (digest != start.digest) walk.missing.push_back(digest);
        break;
      }
      uint64_t length = 0;
      if (link.context_list.length > 0 && !ReadContext(link.context_list, &digest, &length)) break;
      walk.records.push_back(record);
      if (link.context_list.length == 0) break;
      depth = link.depth;
    }
  }
  return walk;
}

}  // namespace dk::chain
