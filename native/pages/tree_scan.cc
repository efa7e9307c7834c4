// Method: a shared queue of directories; each thread takes one, opens it by its
// path below the root (one openat2, so that the number of descriptors is the
// number of threads, however wide the tree), reads it with getdents64 and stats
// its names relative to it. Of a large directory the names go back to the queue,
// a thousand at a time. What is remembered below the directory and was not
// seen has vanished. Marks of what was seen are one byte per node, and a node
// belongs to one directory, so threads never share a byte.
#include "pages/tree_scan.h"

#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "common/thread_pool.h"
#include "pages/beneath.h"

namespace dk::pages {
namespace {

constexpr size_t kListBytes = 32768;
// A listing of this length is worth sharing: about a thousand names.
constexpr size_t kShareBytes = kListBytes - 2048;

struct LinuxDirent {
  uint64_t ino;
  int64_t off;
  uint16_t length;
  uint8_t type;
  char name[1];
};

bool HasVanished(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

std::string Join(std::string_view directory, std::string_view name) {
  std::string path;
  path.reserve(directory.size() + 1 + name.size());
  if (!directory.empty()) path.append(directory).push_back('/');
  return path.append(name);
}

// 0 or an errno; never follows a symbolic link.
int StatAt(int directory_fd, const char* name, StatRow* row) {
  struct stat status;
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name == 0 ? AT_EMPTY_PATH : 0);
  if (::fstatat(directory_fd, name, &status, flags) != 0) return errno;
  *row = RowOf(status);
  return 0;
}

struct Listing;

// A directory to list, or (with `listing`) names of one that were read and not yet compared.
struct Task {
  std::string path;
  StatTable::Node node;  // kNone: not remembered
  std::shared_ptr<Listing> listing = nullptr;
  std::vector<char> names = {};
};

// A directory being compared, by several threads when it is large. Whoever
// finishes last says what was missing.
struct Listing {
  Listing(std::string directory, StatTable::Node n, int opened) : path(std::move(directory)), node(n), fd(opened) {}
  const std::string path;
  const StatTable::Node node;
  const FileDescriptor fd;
  std::atomic<size_t> parts{1};
  // What was not listed is unknown, not removed.
  std::atomic<bool> complete{true};
};

// Findings of one thread, and the rules by which entries are judged.
class Findings {
 public:
  Findings(const StatTable& table, const std::unordered_set<std::string>& skip) : table_(table), skip_(skip) {}

  bool IsSkipped(const std::string& path) const {
    if (skip_.empty()) return false;
    for (std::string_view at = path;; at = ParentOf(at)) {
      if (skip_.count(std::string(at)) > 0) return true;
      if (at.find('/') == std::string_view::npos) return false;
    }
  }

  void Add(std::string path, ChangeKind kind, const StatRow& row) {
    result.changes.push_back(TreeChange{std::move(path), kind, row});
  }

  // An entry that is there. Returns whether what is remembered is the same directory's content.
  void Judge(std::string path, StatTable::Node node, const StatRow& row) {
    ++result.scanned;
    const bool known = node != StatTable::kNone && table_.IsPresent(node);
    if (known && table_.IsUnchanged(node, row)) return;
    // What stands where a directory stood took everything below with it.
    if (node != StatTable::kNone && row[kType] != kDirectory) RemovedBelow(path, node);
    Add(std::move(path), known ? kChangeChanged : kChangeAdded, row);
  }

  void Unreadable(std::string path, StatTable::Node node, int error) {
    ++result.scanned;
    const bool known = node != StatTable::kNone && table_.IsPresent(node);
    Add(std::move(path), known ? kChangeChanged : kChangeAdded, FailedRow(error));
  }

  void Removed(const std::string& path, StatTable::Node node) {
    if (node == StatTable::kNone || IsSkipped(path)) return;
    RemovedBelow(path, node);
    if (table_.IsPresent(node)) Add(path, kChangeRemoved, StatRow{});
  }

  void RemovedBelow(const std::string& path, StatTable::Node node) {
    std::vector<Task> stack{{path, node}};
    while (!stack.empty()) {
      const Task top = std::move(stack.back());
      stack.pop_back();
      for (auto child = table_.FirstChild(top.node); child != StatTable::kNone; child = table_.NextSibling(child)) {
        std::string below = Join(top.path, table_.NameAt(child));
        if (!skip_.empty() && skip_.count(below) > 0) continue;
        if (table_.IsPresent(child)) Add(below, kChangeRemoved, StatRow{});
        if (table_.FirstChild(child) != StatTable::kNone) {
          stack.push_back(Task{std::move(below), child});
        }
      }
    }
  }

  TreeScanResult result;

 private:
  const StatTable& table_;
  const std::unordered_set<std::string>& skip_;
};

// Sorts, and keeps one change per path: the one that says it could not be read, if there is one.
void Conclude(TreeScanResult* result) {
  auto& changes = result->changes;
  std::sort(changes.begin(), changes.end(), [](const TreeChange& a, const TreeChange& b) {
    const int order = a.path.compare(b.path);
    return order != 0 ? order < 0 : a.row[kType] < b.row[kType];
  });
  changes.erase(std::unique(changes.begin(), changes.end(),
                            [](const TreeChange& a, const TreeChange& b) { return a.path == b.path; }),
                changes.end());
}

class TreeScan {
 public:
  TreeScan(const StatTable& table, const TreeScanRequest& request, const StopRequest& stop, int root_fd)
      : table_(table),
        request_(request),
        stop_(stop),
        root_fd_(root_fd),
        skip_(request.skip.begin(), request.skip.end()),
        seen_(table.node_bound(), 0) {
    for (const std::string& path : request.skip) {
      skipped_names_[std::string(ParentOf(path))].emplace(NameOf(path));
    }
  }

  void Run(TreeScanResult* result) {
    Findings start(table_, skip_);
    StartDirectories(&start);
    std::mutex merge;
    const auto take = [&](Findings* findings) {
      std::lock_guard<std::mutex> lock(merge);
      auto& from = findings->result.changes;
      result->scanned += findings->result.scanned;
      std::move(from.begin(), from.end(), std::back_inserter(result->changes));
    };
    take(&start);
    ParallelFor(PoolThreads(), [&](size_t) {
      Findings findings(table_, skip_);
      Work(&findings);
      take(&findings);
    });
    Conclude(result);
  }

 private:
  // The directories that were asked for are compared themselves, unless a parent's listing does it too.
  void StartDirectories(Findings* findings) {
    std::unordered_set<std::string> begun;
    ParentCache parents(root_fd_);
    for (const std::string& path : request_.directories) {
      if (!begun.insert(path).second || findings->IsSkipped(path)) continue;
      const StatTable::Node node = table_.Find(path);
      StatRow row{};
      const int error = StatPath(&parents, root_fd_, path, &row);
      if (HasVanished(error)) {
        findings->Removed(path, node);
      } else if (error != 0) {
        findings->Unreadable(path, node, error);
      } else {
        findings->Judge(path, node, row);
        if (row[kType] == kDirectory) queue_.push_back(Task{path, node});
      }
    }
    // With recursion a directory may also be met from above: it is listed once.
    for (const Task& task : queue_) begun_.insert(task.path);
    open_ = queue_.size();
  }

 public:
  static int StatPath(ParentCache* parents, int root_fd, const std::string& path, StatRow* row) {
    if (path.empty()) return StatAt(root_fd, "", row);
    const int parent = parents->Open(path);
    if (parent < 0) return -parent;
    return StatAt(parent, std::string(NameOf(path)).c_str(), row);
  }

 private:
  void Work(Findings* findings) {
    std::vector<char> buffer(kListBytes);
    std::vector<Task> found;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return !queue_.empty() || open_ == 0; });
      if (queue_.empty()) return;
      Task task = std::move(queue_.back());
      queue_.pop_back();
      lock.unlock();
      found.clear();
      try {
        if (!stop_()) Perform(&task, &buffer, &found, findings);
      } catch (...) {
        // Out of memory: the others must not wait for this task for ever.
        lock.lock();
        queue_.clear();
        open_ = 0;
        wake_.notify_all();
        throw;
      }
      lock.lock();
      if (open_ == 0) return;
      open_ += found.size();
      --open_;
      for (Task& next : found) queue_.push_back(std::move(next));
      if (open_ == 0 || found.size() > 1) wake_.notify_all();
    }
  }

  void Perform(Task* task, std::vector<char>* buffer, std::vector<Task>* found, Findings* findings) {
    if (task->listing != nullptr) {
      CompareNames(*task->listing, task->names.data(), task->names.size(), found, findings);
      return EndPart(*task->listing, findings);
    }
    const int opened = OpenForReading(root_fd_, task->path, O_DIRECTORY);
    if (opened >= 0) {
      return List(std::make_shared<Listing>(std::move(task->path), task->node, opened), buffer, found, findings);
    }
    // The entry itself was judged before; a replacement is seen by the next scan.
    if (HasVanished(-opened) && !task->path.empty()) {
      return findings->Removed(task->path, task->node);
    }
    findings->Unreadable(task->path, task->node, -opened);
  }

  void List(const std::shared_ptr<Listing>& listing, std::vector<char>* buffer, std::vector<Task>* found,
            Findings* findings) {
    for (;;) {
      const long bytes = ::syscall(SYS_getdents64, listing->fd.get(), buffer->data(), buffer->size());
      if (bytes == 0) break;
      if (bytes < 0) {
        listing->complete = false;
        findings->Unreadable(listing->path, listing->node, errno);
        break;
      }
      const auto length = static_cast<size_t>(bytes);
      if (length >= kShareBytes) {
        Share(listing, std::vector<char>(buffer->data(), buffer->data() + length));
      } else {
        CompareNames(*listing, buffer->data(), length, found, findings);
      }
    }
    EndPart(*listing, findings);
  }

  // Offers names of a large directory to any thread, this one included.
  void Share(const std::shared_ptr<Listing>& listing, std::vector<char> names) {
    ++listing->parts;
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(Task{std::string(), listing->node, listing, std::move(names)});
    ++open_;
    wake_.notify_one();
  }

  void EndPart(Listing& listing, Findings* findings) {
    if (listing.parts.fetch_sub(1) == 1 && listing.complete) ReportMissing(listing, findings);
  }

  void CompareNames(const Listing& listing, const char* names, size_t length, std::vector<Task>* found,
                    Findings* findings) {
    const auto hidden = skipped_names_.find(listing.path);
    const auto* skipped = hidden == skipped_names_.end() ? nullptr : &hidden->second;
    for (size_t at = 0; at < length;) {
      const auto* entry = reinterpret_cast<const LinuxDirent*>(names + at);
      at += entry->length;
      const std::string_view name(entry->name);
      if (name == "." || name == "..") continue;
      if (skipped != nullptr && skipped->count(std::string(name)) > 0) {
        MarkSeen(listing.node, name);
        continue;
      }
      Visit(listing, entry->name, found, findings);
    }
  }

  void MarkSeen(StatTable::Node parent, std::string_view name) {
    if (parent == StatTable::kNone) return;
    const StatTable::Node node = table_.FindChild(parent, name);
    if (node != StatTable::kNone) seen_[node] = 1;
  }

  void Visit(const Listing& listing, const char* name, std::vector<Task>* found, Findings* findings) {
    const StatTable::Node node =
        listing.node == StatTable::kNone ? StatTable::kNone : table_.FindChild(listing.node, name);
    StatRow row;
    const int error = StatAt(listing.fd.get(), name, &row);
    if (error == ENOENT) return;  // vanished since it was listed: not seen
    if (node != StatTable::kNone) seen_[node] = 1;
    if (error != 0) return findings->Unreadable(Join(listing.path, name), node, error);
    // The path is only made where it is needed: most entries are unchanged files.
    const bool known = node != StatTable::kNone && table_.IsPresent(node);
    const bool unchanged = known && table_.IsUnchanged(node, row);
    const bool directory = row[kType] == kDirectory;
    if (unchanged && !directory) {
      ++findings->result.scanned;
      return;
    }
    std::string path = Join(listing.path, name);
    const bool remembered = known && table_.IsDirectory(node);
    const bool enter = directory && (remembered ? request_.recursive : request_.enter_added);
    if (enter && begun_.count(path) == 0) found->push_back(Task{path, node});
    findings->Judge(std::move(path), node, row);
  }

  void ReportMissing(const Listing& listing, Findings* findings) {
    if (listing.node == StatTable::kNone) return;
    for (auto child = table_.FirstChild(listing.node); child != StatTable::kNone; child = table_.NextSibling(child)) {
      if (seen_[child] == 0) findings->Removed(Join(listing.path, table_.NameAt(child)), child);
    }
  }

  const StatTable& table_;
  const TreeScanRequest& request_;
  const StopRequest& stop_;
  const int root_fd_;
  const std::unordered_set<std::string> skip_;
  std::unordered_map<std::string, std::unordered_set<std::string>> skipped_names_;
  std::unordered_set<std::string> begun_;  // read-only while threads run
  std::vector<uint8_t> seen_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> queue_;  // guarded by mutex_
  size_t open_ = 0;          // guarded by mutex_: tasks queued or being worked on
};

}  // namespace

int ScanTree(const StatTable& table, const TreeScanRequest& request, const StopRequest& stop, TreeScanResult* result) {
  const int root = OpenRoot(request.root);
  if (root < 0) return root;
  const FileDescriptor held(root);
  TreeScan(table, request, stop, root).Run(result);
  return 0;
}

int ScanPaths(const StatTable& table, const std::string& root, const std::vector<std::string>& paths,
              const StopRequest& stop, TreeScanResult* result) {
  const int root_fd = OpenRoot(root);
  if (root_fd < 0) return root_fd;
  const FileDescriptor held(root_fd);
  const std::unordered_set<std::string> none;
  Findings findings(table, none);
  ParentCache parents(root_fd);
  size_t done = 0;
  for (const std::string& path : paths) {
    if (++done % 1024 == 0 && stop()) break;
    const StatTable::Node node = table.Find(path);
    StatRow row{};
    const int error = TreeScan::StatPath(&parents, root_fd, path, &row);
    if (HasVanished(error)) {
      findings.Removed(path, node);
    } else if (error != 0) {
      findings.Unreadable(path, node, error);
    } else {
      findings.Judge(path, node, row);
    }
  }
  *result = std::move(findings.result);
  Conclude(result);
  return 0;
}

}  // namespace dk::pages
