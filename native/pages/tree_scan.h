// Compares a directory tree with what is remembered of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pages/stat_row.h"
#include "pages/stat_table.h"

namespace dk::pages {

// Values of CHANGE in src/engine/engine.ts.
enum ChangeKind : uint8_t { kChangeAdded = 1, kChangeChanged = 2, kChangeRemoved = 3 };

struct TreeChange {
  std::string path;
  ChangeKind kind;
  StatRow row;  // zeros when removed; type = -errno when it could not be read
};

struct TreeScanRequest {
  std::string root;
  // '' is the root. Each is listed whatever else is asked.
  std::vector<std::string> directories;
  bool recursive = false;
  bool enter_added = false;
  // Neither reported nor entered, nor is anything below them.
  std::vector<std::string> skip;
};

struct TreeScanResult {
  // Sorted by path bytes, each path once.
  std::vector<TreeChange> changes;
  uint64_t scanned = 0;
};

// Asked once per directory; a scan that it answers with true ends early, its result is worthless.
using StopRequest = std::function<bool()>;

// Spreads directories over the pool. `table` must not change meanwhile. A
// directory that vanished is reported with everything remembered below it.
// Returns 0, or a negative errno when the root itself cannot be opened.
int ScanTree(const StatTable& table, const TreeScanRequest& request, const StopRequest& stop, TreeScanResult* result);

// Compares exactly these paths. A remembered path that vanished is reported
// with everything remembered below it, an existing directory is not listed.
int ScanPaths(const StatTable& table, const std::string& root, const std::vector<std::string>& paths,
              const StopRequest& stop, TreeScanResult* result);

}  // namespace dk::pages
