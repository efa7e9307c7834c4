// The matcher of one target: `align_match.cc` walks along diagonals, `align_gaps.cc` fills what that left open.
#pragma once

#include <algorithm>
#include <vector>

#include "align/align_extend.h"
#include "align/align_index.h"
#include "align/align_match.h"

namespace dk::align {

constexpr size_t kNearBytes = 512;
constexpr size_t kPollBytes = 8 << 20;

class Matcher {
 public:
  Matcher(zstd::Span source, zstd::Span target, const MatchSettings& settings, const Kernels& kernels,
          const std::function<bool()>& stop)
      : source_(source), target_(target), settings_(settings), kernels_(kernels), stop_(stop) {}

  Status Run(std::vector<Copy>* copies) {
    Walk();
    if (!stopped_) DropCoincidences();
    const Status status = stopped_ ? Status::kCancelled : FillGaps();
    *copies = std::move(copies_);
    return status;
  }

 private:
  void Walk();
  bool Resync(size_t at);
  bool ResyncWide(size_t at);
  bool TakeLong(size_t target, size_t source);
  void DropCoincidences();
  Status FillGaps();
  size_t CoarseStep(size_t wanted) const;
  void AddSource(size_t fine_step, size_t coarse_step, BlockIndex* index) const;
  void FillParts(const BlockIndex& index, const std::vector<Copy>& kept, size_t part_bytes);
  void FillPart(const BlockIndex& index, const std::vector<Copy>& kept, size_t begin, size_t end);
  void Append(const Matcher& part, size_t begin, size_t end);
  void ScanGap(const BlockIndex& index, size_t limit);
  bool TakeNearSearched(const BlockIndex& index, size_t limit);
  bool TakeBest(const BlockIndex& index, uint64_t hash, size_t at, size_t limit);
  bool SaysEnough(size_t at, size_t length) const;
  bool TakeAlike(size_t at, size_t limit);
  bool TakeNear(size_t at, size_t reach, size_t limit);
  void Take(size_t target, size_t source, size_t limit);
  void Push(Copy copy);
  void YieldTail(size_t target, size_t source);
  size_t Ahead(size_t target, size_t source, size_t limit);
  size_t Behind(size_t target, size_t source, size_t limit);

  // Bytes left of both sides from a target position on, along the current diagonal; 0 when it lies outside.
  size_t Room(size_t at, size_t limit) const {
    const size_t from = at + static_cast<size_t>(diagonal_);  // wraps below zero to a huge number
    return from < source_.length ? std::min(limit - at, source_.length - from) : 0;
  }

  static ptrdiff_t DiagonalOf(const Copy& copy) {
    return static_cast<ptrdiff_t>(copy.source) - static_cast<ptrdiff_t>(copy.target);
  }

  bool Stopped(size_t bytes) {
    unpolled_ += bytes;
    if (unpolled_ < kPollBytes || stopped_) return stopped_;
    unpolled_ = 0;
    stopped_ = stop_ && stop_();
    return stopped_;
  }

  const zstd::Span source_;
  const zstd::Span target_;
  const MatchSettings& settings_;
  const Kernels& kernels_;
  const std::function<bool()>& stop_;
  std::vector<Copy> copies_;
  std::vector<Stretch> poor_;  // of the target: matched, but with many differences
  std::vector<Stretch> found_;
  size_t end_ = 0;          // of the last copy, in the target
  ptrdiff_t diagonal_ = 0;  // of the last copy: source position minus target position
  size_t resync_bytes_ = 0;
  size_t wide_bytes_ = 0;  // searched by ResyncWide
  size_t unpolled_ = 0;
  bool stopped_ = false;
};

}  // namespace dk::align
