// Reads many small files and symbolic links at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pages/content_digest.h"
#include "pages/stat_row.h"

namespace dk::pages {

struct BatchReadRequest {
  std::string root;
  std::vector<std::string> paths;
  uint64_t file_bytes_max = 0;  // at most 2^32 - 1
  uint64_t total_bytes_max = 0;
  DigestAlgo algo = DigestAlgo::kBlake3;
};

// Values of FileBatch.status that are not negative errno values.
enum ReadStatus : int32_t { kReadDone = 0, kReadTorn = 1, kReadTooLarge = 2 };

// Memory that the caller provides for the contents: called at most once, with
// an upper bound. Returns nullptr when there is none.
using ReadAllocate = std::function<uint8_t*(size_t bytes)>;

struct BatchReadResult {
  // Every vector below has one element per path handled; `rows` are valid for status 0, 1 and 2.
  std::vector<int32_t> status;
  std::vector<StatRow> rows;
  std::vector<uint32_t> lengths;
  std::vector<uint8_t> digests;  // 32 bytes each; zeros unless status is 0
  std::vector<std::string> xattrs;
  // Bytes of the allocated memory in use.
  size_t data_bytes = 0;
};

// Handles paths in order until their sizes pass `total_bytes_max`, at least one.
// Directories and special files have no bytes (and the digest of no bytes);
// only regular files are ever opened, and never so that it could block.
// Returns 0, a negative errno when the root cannot be opened, or -ENOMEM.
int ReadBatch(const BatchReadRequest& request, const ReadAllocate& allocate, BatchReadResult* result);

}  // namespace dk::pages
