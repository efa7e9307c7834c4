// placeFiles, placeOpen, placeCommit, placeLink: entries back into a directory.
#include <unistd.h>

#include "binding/args.h"
#include "binding/columns.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "place/place.h"

namespace dk {
namespace {

std::string_view View(const Bytes& bytes, size_t offset, size_t length) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data) + offset, length);
}

class PlaceFilesJob : public Worker {
 public:
  explicit PlaceFilesJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Object options = TakeObject(info[0], "batch");
    root_ = TakeString(options.Get("root"), "root");
    paths_ = TakePaths(options.Get("paths"), options.Get("pathCount"), "paths");
    owner_ = options.Get("owner").ToBoolean();
    data_ = TakeBytes(options.Get("data"), "data", this);
    xattrs_ = TakeBytes(options.Get("xattrs"), "xattrs", this);
    const auto rows = TakeRows(options.Get("rows"), paths_.size(), "rows");
    const Bytes lengths = TakeWords(options.Get("lengths"), "lengths");
    const Bytes xattr_lengths = TakeWords(options.Get("xattrLengths"), "xattrLengths");
    const size_t columns = paths_.size() * sizeof(uint32_t);
    if (lengths.length != columns || xattr_lengths.length != columns) {
      ThrowRange(info.Env(), "lengths and xattrLengths must hold one value for each path");
    }
    size_t data_at = 0;
    size_t xattrs_at = 0;
    for (size_t i = 0; i < paths_.size(); ++i) {
      const size_t length = lengths.words()[i];
      const size_t list = xattr_lengths.words()[i];
      if (length > data_.length - data_at || list > xattrs_.length - xattrs_at) {
        ThrowRange(info.Env(), "lengths pass the end of the data");
      }
      place::Entry entry;
      entry.path = paths_[i];
      entry.row = rows[i];
      entry.data = data_.data + data_at;
      entry.length = length;
      entry.xattrs = View(xattrs_, xattrs_at, list);
      entries_.push_back(entry);
      data_at += length;
      xattrs_at += list;
    }
  }

 protected:
  void Execute() override {
    const int status = place::PlaceEntries(root_, entries_, owner_, &status_);
    if (status != 0) FailErrno(-status, "place entries below '" + root_ + "'");
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Int32Array array = Napi::Int32Array::New(env, status_.size());
    for (size_t i = 0; i < status_.size(); ++i) array[i] = status_[i];
    return array;
  }

 private:
  std::string root_;
  std::vector<std::string> paths_;  // entries_ look into these
  Bytes data_;
  Bytes xattrs_;
  bool owner_ = false;
  std::vector<place::Entry> entries_;
  std::vector<int32_t> status_;
};

class PlaceOpenJob : public Worker {
 public:
  explicit PlaceOpenJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), root_(TakeString(info[0], "root")), path_(TakePath(info[1], "path")) {}

  ~PlaceOpenJob() override {
    // The environment ended before anyone took the descriptor.
    if (temporary_.fd >= 0) close(temporary_.fd);
  }

 protected:
  void Execute() override {
    const int status = place::OpenTemporary(root_, path_, &temporary_);
    if (status != 0) FailErrno(-status, "create a file beside '" + path_ + "'");
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object object = Napi::Object::New(env);
    object.Set("temporary", MoveToBuffer(env, temporary_.path));
    object.Set("fd", Napi::Number::New(env, std::exchange(temporary_.fd, -1)));
    return object;
  }

 private:
  const std::string root_;
  const std::string path_;
  place::Temporary temporary_;
};

class PlaceCommitJob : public Worker {
 public:
  explicit PlaceCommitJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Object options = TakeObject(info[0], "options");
    root_ = TakeString(options.Get("root"), "root");
    fd_ = static_cast<int>(TakeInteger(options.Get("fd"), "fd", 0, INT32_MAX));
    temporary_ = TakePath(options.Get("temporary"), "temporary");
    path_ = TakePath(options.Get("path"), "path");
    entry_.row = TakeRows(options.Get("row"), 1, "row")[0];
    xattrs_ = TakeText(options.Get("xattrs"), "xattrs");
    owner_ = options.Get("owner").ToBoolean();
  }

 protected:
  void Execute() override {
    entry_.path = path_;
    entry_.xattrs = xattrs_;
    const int status = place::CommitTemporary(root_, temporary_, fd_, entry_, owner_);
    if (status != 0) FailErrno(-status, "put '" + path_ + "' into place");
  }

  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }

 private:
  std::string root_;
  int fd_ = -1;
  std::string temporary_;
  std::string path_;
  std::string xattrs_;
  bool owner_ = false;
  place::Entry entry_;
};

class PlaceLinkJob : public Worker {
 public:
  explicit PlaceLinkJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        root_(TakeString(info[0], "root")),
        existing_(TakePath(info[1], "existing")),
        path_(TakePath(info[2], "path")) {}

 protected:
  void Execute() override {
    const int status = place::PlaceLink(root_, existing_, path_);
    if (status != 0) FailErrno(-status, "link '" + path_ + "' to '" + existing_ + "'");
  }

  Napi::Value Resolve(Napi::Env env) override { return env.Undefined(); }

 private:
  const std::string root_;
  const std::string existing_;
  const std::string path_;
};

}  // namespace

void RegisterPlace(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "placeFiles", RunJob<PlaceFilesJob>);
  Export(env, exports, "placeOpen", RunJob<PlaceOpenJob>);
  Export(env, exports, "placeCommit", RunJob<PlaceCommitJob>);
  Export(env, exports, "placeLink", RunJob<PlaceLinkJob>);
}

}  // namespace dk
