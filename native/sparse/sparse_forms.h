// The two halves of a payload, each in the form that a sample of it promises to be the smaller one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "common/memory_pool.h"
#include "sparse/sparse.h"
#include "sparse/sparse_bits.h"
#include "sparse/sparse_masks.h"
#include "sparse/sparse_runs.h"
#include "sparse/sparse_scan.h"

namespace dk::sparse {

// Bits of the flags byte; stored.
constexpr uint8_t kPlainValues = 1;    // target bytes instead of source XOR target
constexpr uint8_t kZstdValues = 2;     // one frame
constexpr uint8_t kZstdPositions = 4;  // one frame of varints

// Where the runs are: bits, or a frame that sees patterns.
class Places : public RunTaker {
 public:
  explicit Places(const Options& options) : options_(options), bits_(options.simd) {}

  void Singles(const uint32_t* skips, const uint32_t* extras, size_t count) override;
  void Equal(uint32_t skip, uint32_t extra, size_t count) override;

  // Once there are no more. The bytes are its own.
  Status Finish(uint8_t* flags, ByteSpan* out);

 private:
  enum class Form { kOpen, kBits, kFrame };
  void Decide();
  RunSpan head() const { return {head_.data(), head_.size()}; }
  void TryFrame(size_t sample, size_t bits_size);

  const Options& options_;
  Form form_ = Form::kOpen;
  std::vector<Run> head_;  // the first runs: a sample
  size_t count_ = 0;       // of runs in it, each for itself
  BitPositions bits_;
  ScratchBytes pairs_, frame_;
  size_t pairs_used_ = 0;
  Status status_ = Status::kOk;
};

// The bytes that changed, as XOR with the source or as they are.
class Values : public ValueTaker {
 public:
  Values(ByteSpan source, ByteSpan target, const Options& options)
      : source_(source),
        target_(target),
        options_(options),
        kernels_(MaskKernelsFor(options.simd)),
        take_summed_(TakeSummedFor(options.simd)) {}

  void Take(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks, uint64_t* masks,
            GroupSums* sums) override;
  // Those of runs that hold bytes between changes, too; nothing was taken before.
  void TakeRuns(RunSpan runs, size_t changed);
  // Bytes that were taken.
  size_t count() const { return count_; }
  // In the form that the sample promised, as a frame if that pays.
  Status Finish(uint8_t* flags, ByteSpan* out);

 private:
  void Expect(size_t base);
  void Decide(size_t end);
  bool IsNoise(size_t sample, size_t end) const;
  void Gather(RunSpan runs, size_t count, bool plain, ScratchBytes* bytes) const;
  size_t TakePlain(size_t end, size_t every, size_t least, ScratchBytes* bytes) const;

  const ByteSpan source_;
  const ByteSpan target_;
  const Options& options_;
  const MaskKernels kernels_;
  const TakeSummed take_summed_;
  RunSpan merged_ = {nullptr, 0};  // what the bytes are of, when they were not taken
  ScratchBytes bytes_, frame_;
  size_t count_ = 0;
  bool decided_ = false;
  bool plain_ = false;
  bool frames_pay_ = false;
  bool one_byte_ = false;  // so far they are all the same
  Status status_ = Status::kOk;
};

// Hands runs from the `from`th to before the `end`th over, each counted for itself.
void HandOver(RunSpan runs, size_t from, size_t end, RunTaker* taker);

}  // namespace dk::sparse
