// SA-IS: "Linear Suffix Array Construction by Almost Pure Induced-Sorting" (Nong, Zhang, Chan 2009).
//
// A suffix is S when it is smaller than the one that starts a byte later, else L; the end of the text counts as a
// suffix smaller than all. An S suffix after an L one is LMS. Sorted LMS suffixes induce the order of all L
// suffixes in one scan from the left, and those induce all S suffixes in one scan from the right. The same two
// scans over unsorted LMS suffixes sort the LMS *substrings*; their ranks make a text at most half as long, which
// is sorted by recursion.
//
// In both scans an entry says by its sign whether the suffix one byte before it is for this scan or the next, so
// that each text byte is looked up once, and the look-ups, which are all cache misses, are prefetched: this is
// where the time goes. 0 means empty, or position 0, before which there is nothing to induce.
#include "bsdiff/suffix_array.h"

#include <cstring>
#include <memory>

namespace dk::bsdiff {
namespace {

constexpr int32_t kAhead = 32;

// Text of one level: bytes first, ranks of LMS substrings below.
template <typename Char>
class Level {
 public:
  // `buckets` has room for `alphabet` values; so has `counts`, which may be null: then they are counted each time.
  Level(const Char* text, int32_t* sa, int32_t length, int32_t alphabet, int32_t* buckets, int32_t* counts)
      : text_(text), sa_(sa), length_(length), alphabet_(alphabet), buckets_(buckets), counts_(counts) {
    if (counts_ != nullptr) Count(counts_);
  }

  void Sort();

 private:
  void Count(int32_t* counts) const;
  void FindBuckets(bool ends);
  template <typename Visit>
  void ForEachLmsFromRight(Visit visit) const;
  template <bool keep>
  void InduceL();
  template <bool keep>
  void InduceS();
  int32_t SortLmsSubstrings();
  int32_t NameLmsSubstrings(int32_t count);
  void SortLms(int32_t count, int32_t names);

  void PrefetchText(int32_t at) const {
    const int32_t position = sa_[at] < 0 ? -sa_[at] : sa_[at];
    __builtin_prefetch(text_ + (position < 2 ? 0 : position - 2));
  }
  // Small alphabets have their buckets in the first cache anyway.
  void PrefetchBucket(int32_t at) const {
    if (sizeof(Char) == 1) return;
    const int32_t position = sa_[at] < 0 ? -sa_[at] : sa_[at];
    __builtin_prefetch(buckets_ + text_[position < 1 ? 0 : position - 1], 1);
  }

  const Char* const text_;
  int32_t* const sa_;
  const int32_t length_;
  const int32_t alphabet_;
  int32_t* const buckets_;
  int32_t* const counts_;
};

template <typename Char>
void Level<Char>::Count(int32_t* counts) const {
  memset(counts, 0, sizeof(int32_t) * static_cast<size_t>(alphabet_));
  for (int32_t i = 0; i < length_; ++i) {
    if (sizeof(Char) > 1 && i + kAhead < length_) __builtin_prefetch(counts + text_[i + kAhead], 1);
    ++counts[text_[i]];
  }
}

// First place of every bucket, or the place after its last.
template <typename Char>
void Level<Char>::FindBuckets(bool ends) {
  if (counts_ == nullptr) Count(buckets_);
  const int32_t* const counts = counts_ == nullptr ? buckets_ : counts_;
  int32_t sum = 0;
  for (int32_t c = 0; c < alphabet_; ++c) {
    const int32_t count = counts[c];
    sum += count;
    buckets_[c] = ends ? sum : sum - count;
  }
}

template <typename Char>
template <typename Visit>
void Level<Char>::ForEachLmsFromRight(Visit visit) const {
  bool next_is_s = false;  // the last suffix is L: the end is smaller
  for (int32_t i = length_ - 2; i >= 0; --i) {
    const bool is_s = text_[i] < text_[i + 1] || (text_[i] == text_[i + 1] && next_is_s);
    if (!is_s && next_is_s) visit(i + 1);
    next_is_s = is_s;
  }
}

// From the left: entries > 0 induce the L suffix before them. With `keep` the entries stay for the result.
template <typename Char>
template <bool keep>
void Level<Char>::InduceL() {
  FindBuckets(false);
  const auto place = [this](int32_t p) {
    const Char c = text_[p];
    sa_[buckets_[c]++] = p > 0 && text_[p - 1] < c ? -p : p;
  };
  place(length_ - 1);
  const auto step = [&](int32_t i) {
    const int32_t entry = sa_[i];
    if (entry <= 0) return;
    if (!keep) sa_[i] = 0;
    place(entry - 1);
  };
  int32_t i = 0;
  for (; i < length_ - 2 * kAhead; ++i) {
    PrefetchText(i + 2 * kAhead);
    PrefetchBucket(i + kAhead);
    step(i);
  }
  for (; i < length_; ++i) step(i);
}

// From the right: entries < 0 induce the S suffix before them. Without `keep` only LMS suffixes remain.
template <typename Char>
template <bool keep>
void Level<Char>::InduceS() {
  FindBuckets(true);
  const auto step = [this](int32_t i) {
    const int32_t entry = sa_[i];
    if (entry >= 0) return;
    const int32_t p = -entry - 1;
    const Char c = text_[p];
    sa_[--buckets_[c]] = p > 0 && text_[p - 1] <= c ? -p : p;
    sa_[i] = keep ? -entry : 0;
  };
  int32_t i = length_ - 1;
  for (; i >= 2 * kAhead; --i) {
    PrefetchText(i - 2 * kAhead);
    PrefetchBucket(i - kAhead);
    step(i);
  }
  for (; i >= 0; --i) step(i);
}

// Leaves the LMS suffixes at the front, in the order of their substrings, and returns how many there are.
template <typename Char>
int32_t Level<Char>::SortLmsSubstrings() {
  memset(sa_, 0, sizeof(int32_t) * static_cast<size_t>(length_));
  FindBuckets(true);
  ForEachLmsFromRight([this](int32_t p) { sa_[--buckets_[text_[p]]] = p; });
  InduceL<false>();
  InduceS<false>();
  int32_t count = 0;
  for (int32_t i = 0; i < length_; ++i) {
    if (sa_[i] > 0) sa_[count++] = sa_[i];
  }
  return count;
}

// Writes the rank of the substring of each LMS suffix p to sa[count + p / 2] (two LMS suffixes are never
// neighbours, and there are at most length / 2 of them), 1 and up; returns the highest rank.
template <typename Char>
int32_t Level<Char>::NameLmsSubstrings(int32_t count) {
  int32_t* const slots = sa_ + count;
  memset(slots, 0, sizeof(int32_t) * static_cast<size_t>(length_ - count));
  int32_t end = length_;
  // A substring reaches to the next LMS suffix and includes its first character; the last one ends with the text,
  // and with the end of the text as a character that no other substring has.
  ForEachLmsFromRight([&](int32_t p) {
    slots[p >> 1] = end == length_ ? length_ - p + 1 : end - p + 1;
    end = p;
  });
  int32_t names = 0;
  int32_t before = 0, before_length = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (i + kAhead < count) __builtin_prefetch(text_ + sa_[i + kAhead]);
    if (i + kAhead < count) __builtin_prefetch(slots + (sa_[i + kAhead] >> 1));
    const int32_t p = sa_[i];
    const int32_t length = slots[p >> 1];
    const bool same = i > 0 && length == before_length && p + length <= length_ && before + length <= length_ &&
                      memcmp(text_ + p, text_ + before, sizeof(Char) * static_cast<size_t>(length)) == 0;
    if (!same) ++names;
    slots[p >> 1] = names;
    before = p;
    before_length = length;
  }
  return names;
}

// Sorts the first `count` entries as suffixes, by sorting the text of their ranks.
template <typename Char>
void Level<Char>::SortLms(int32_t count, int32_t names) {
  int32_t* const ranks = sa_ + length_ - count;
  for (int32_t i = length_ - 1, to = count; i >= count; --i) {
    if (sa_[i] > 0) ranks[--to] = sa_[i] - 1;
  }
  // The room between the two is free; most texts leave enough of it for the buckets.
  const int32_t room = length_ - 2 * count;
  std::unique_ptr<int32_t[]> own;
  if (room < names) own.reset(new int32_t[static_cast<size_t>(names)]);
  int32_t* const buckets = own ? own.get() : sa_ + count;
  Level<int32_t>(ranks, sa_, count, names, buckets, room / 2 >= names ? buckets + names : nullptr).Sort();
  int32_t to = count;
  ForEachLmsFromRight([&](int32_t p) { ranks[--to] = p; });
  for (int32_t i = 0; i < count; ++i) sa_[i] = ranks[sa_[i]];
}

template <typename Char>
void Level<Char>::Sort() {
  if (length_ == 0) return;
  const int32_t count = SortLmsSubstrings();
  if (count > 1) {
    const int32_t names = NameLmsSubstrings(count);
    if (names < count) SortLms(count, names);
  }
  memset(sa_ + count, 0, sizeof(int32_t) * static_cast<size_t>(length_ - count));
  FindBuckets(true);
  for (int32_t i = count - 1; i >= 0; --i) {
    const int32_t p = sa_[i];
    sa_[i] = 0;
    sa_[--buckets_[text_[p]]] = p;
  }
  InduceL<true>();
  InduceS<true>();
}

}  // namespace

void SortSuffixes(const uint8_t* text, int32_t* sa, size_t length) {
  int32_t buckets[256];
  int32_t counts[256];
  Level<uint8_t>(text, sa, static_cast<int32_t>(length), 256, buckets, counts).Sort();
}

}  // namespace dk::bsdiff
