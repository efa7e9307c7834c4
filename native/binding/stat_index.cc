// createStatIndex: a stat table, and scans of trees against it.
//
// The table is changed on the JS thread only. A scan holds on to the table as it
// was when the scan was asked for: while one runs, the first change copies the
// table (a few memcpy's) and leaves the scan its own. So changes never wait and
// a scan never sees half of one.
#include <memory>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "pages/beneath.h"
#include "pages/mapped_file.h"
#include "pages/stat_table.h"
#include "pages/tree_scan.h"

namespace dk {
namespace {

using pages::StatTable;

struct IndexState {
  std::shared_ptr<StatTable> table = std::make_shared<StatTable>();

  // References are taken and dropped on the JS thread, so the count is exact.
  StatTable& Writable() {
    if (table.use_count() > 1) table = std::make_shared<StatTable>(*table);
    return *table;
  }
};
using State = std::shared_ptr<IndexState>;

class ScanWorker : public Worker {
 public:
  ScanWorker(Napi::Env env, std::shared_ptr<const StatTable> table) : Worker(env), table_(std::move(table)) {}

 protected:
  Napi::Value Resolve(Napi::Env env) override {
    const auto& changes = result_.changes;
    std::string paths;
    std::vector<uint8_t> kinds;
    std::vector<pages::StatRow> rows;
    kinds.reserve(changes.size());
    rows.reserve(changes.size());
    for (const pages::TreeChange& change : changes) {
      if (!kinds.empty()) paths.push_back('\0');
      paths += change.path;
      kinds.push_back(change.kind);
      rows.push_back(change.row);
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("paths", MoveToBuffer(env, std::move(paths)));
    object.Set("count", Napi::Number::New(env, static_cast<double>(changes.size())));
    object.Set("kinds", CopyToUint8Array(env, kinds));
    object.Set("rows", RowsToArray(env, rows.data(), rows.size()));
    object.Set("scanned", Napi::Number::New(env, static_cast<double>(result_.scanned)));
    return object;
  }

  const std::shared_ptr<const StatTable> table_;
  pages::TreeScanResult result_;
};

class TreeJob : public ScanWorker {
 public:
  TreeJob(Napi::Object options, std::shared_ptr<const StatTable> table) : ScanWorker(options.Env(), std::move(table)) {
    request_.root = TakeString(options.Get("root"), "root");
    request_.directories = TakeSafePaths(options.Get("directories"), options.Get("directoryCount"), "directories");
    request_.skip = TakeSafePaths(options.Get("skip"), options.Get("skipCount"), "skip");
    request_.recursive = options.Get("recursive").ToBoolean();
    request_.enter_added = options.Get("enterAdded").ToBoolean();
  }

 protected:
  void Execute() override {
    const int status = pages::ScanTree(*table_, request_, [this] { return Cancelled(); }, &result_);
    if (status != 0) FailErrno(-status, "scan '" + request_.root + "'");
  }

 private:
  pages::TreeScanRequest request_;
};

class PathsJob : public ScanWorker {
 public:
  PathsJob(Napi::Object options, std::shared_ptr<const StatTable> table)
      : ScanWorker(options.Env(), std::move(table)),
        root_(TakeString(options.Get("root"), "root")),
        paths_(TakeSafePaths(options.Get("paths"), options.Get("pathCount"), "paths")) {}

 protected:
  void Execute() override {
    const auto stop = [this] { return Cancelled(); };
    const int status = pages::ScanPaths(*table_, root_, paths_, stop, &result_);
    if (status != 0) FailErrno(-status, "scan '" + root_ + "'");
  }

 private:
  const std::string root_;
  const std::vector<std::string> paths_;
};

template <typename Job>
Napi::Value StartScan(const Napi::CallbackInfo& info, const State& state) {
  auto job = std::make_unique<Job>(TakeObject(info[0], "options"), state->table);
  return job.release()->Queue();
}

void Put(const Napi::CallbackInfo& info, const State& state) {
  const auto paths = TakeSafePaths(info[0], info[1], "paths");
  const auto rows = TakeRows(info[2], paths.size(), "rows");
  const Bytes trusted = TakeBytes(info[3], "trusted");
  if (trusted.length != paths.size()) {
    ThrowRange(info.Env(), "trusted must hold one value for each path");
  }
  StatTable& table = state->Writable();
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!table.Put(paths[i], rows[i], trusted.data[i] != 0)) {
      throw MakeError(info.Env(), "DK_LIMIT", "the stat index is full");
    }
  }
}

void Remove(const Napi::CallbackInfo& info, const State& state) {
  const auto paths = TakeSafePaths(info[0], info[1], "paths");
  StatTable& table = state->Writable();
  for (const std::string& path : paths) table.Remove(path);
}

Napi::Value Get(const Napi::CallbackInfo& info, const State& state) {
  const std::string path = TakePath(info[0], "path");
  const StatTable::Node node = state->table->Find(path);
  if (node == StatTable::kNone || !state->table->IsPresent(node)) return info.Env().Undefined();
  const pages::StatRow row = state->table->RowAt(node);
  return RowsToArray(info.Env(), &row, 1);
}

Napi::Value Load(const Napi::CallbackInfo& info, const State& state) {
  const Bytes bytes = TakeBytes(info[0], "bytes");
  // A new table: what a running scan holds is not worth copying to be overwritten.
  state->table = std::make_shared<StatTable>();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data), bytes.length);
  return Napi::Boolean::New(info.Env(), state->table->Load(text));
}

Napi::Value CreateStatIndex(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const State state = std::make_shared<IndexState>();
  Napi::Object index = Napi::Object::New(env);
  // Methods hold the state themselves and ignore `this`: none can be called on a foreign object.
  using Info = const Napi::CallbackInfo&;
  Export(env, index, "put", [state](Info call) { Put(call, state); });
  Export(env, index, "remove", [state](Info call) { Remove(call, state); });
  Export(env, index, "get", [state](Info call) { return Get(call, state); });
  Export(env, index, "load", [state](Info call) { return Load(call, state); });
  Export(env, index, "save",
         [state](Info call) -> Napi::Value { return MoveToBuffer(call.Env(), state->table->Save()); });
  Export(env, index, "scan", [state](Info call) { return StartScan<TreeJob>(call, state); });
  Export(env, index, "scanPaths", [state](Info call) { return StartScan<PathsJob>(call, state); });
  index.DefineProperty(Napi::PropertyDescriptor::Accessor(
      env, index, "count",
      [state](Info call) -> Napi::Value {
        return Napi::Number::New(call.Env(), static_cast<double>(state->table->count()));
      },
      napi_enumerable));
  return index;
}

}  // namespace

void RegisterStatIndex(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "createStatIndex", CreateStatIndex);
}

void RegisterPages(Napi::Env env, Napi::Object exports) {
  RegisterStatIndex(env, exports);
  RegisterReadFiles(env, exports);
  RegisterFileScan(env, exports);
  // For tests: what happens on a kernel without openat2.
  Export(env, exports, "useComponentWalk",
         [](const Napi::CallbackInfo& info) { pages::UseComponentWalk(info[0].ToBoolean()); });
  // For tests: a small file system on which reading a mapping fails.
  Export(env, exports, "mapAnywhere", [](const Napi::CallbackInfo& info) { pages::MapAnywhere(info[0].ToBoolean()); });
}

}  // namespace dk
