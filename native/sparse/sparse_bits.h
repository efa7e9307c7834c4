// Lists of runs as bits, written while the runs are found: blocks of runs, each in the cheapest of three codes.
// Grammar: docs/format-sparse.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/memory_pool.h"
#include "sparse/sparse_codes.h"
#include "sparse/sparse_scan.h"

namespace dk::sparse {

// Stored: never change, never reuse.
constexpr unsigned kConstant = 0;
constexpr unsigned kPoints = 1;
constexpr unsigned kRuns = 2;
constexpr unsigned kEscapeOnes = 24;
constexpr unsigned kEscapeBits = 32;
constexpr unsigned kRiceMax = 31;

class BitPositions : public RunTaker {
 public:
  explicit BitPositions(Simd simd);

  void Singles(const uint32_t* skips, const uint32_t* extras, size_t count) override;
  void Equal(uint32_t skip, uint32_t extra, size_t count) override;

  // What all of it would take if there were no more runs.
  size_t SizeSoFar();
  // All of it, once there are no more.
  ScratchBytes* Finish();

 private:
  enum class Behind { kMore, kConstant, kNothing };
  void Drain(Behind behind);
  void CloseConstant();
  void PutConstant(uint32_t skip, uint32_t extra, size_t count);
  void PutMixed(size_t from, size_t count);
  bool Same(size_t a, size_t b) const { return skips_[a] == skips_[b] && extras_[a] == extras_[b]; }
  size_t Streak(size_t from, size_t end) const;
  size_t EqualFrom(size_t from) const;

  const CodeKernels kernels_;
  ScratchBytes bytes_;
  // Runs that are in no block yet; either these or a constant stretch that may go on.
  std::unique_ptr<uint32_t[]> skips_, extras_;
  size_t count_ = 0;
  struct {
    uint32_t skip, extra;
    size_t count;
  } constant_ = {0, 0, 0};
};

}  // namespace dk::sparse
