// readFiles: whole small files and symbolic links, with digests and attributes.
#include "binding/args.h"
#include "binding/columns.h"
#include "binding/worker.h"
#include "pages/batch_read.h"

namespace dk {
namespace {

constexpr uint64_t kBytesMax = (uint64_t{1} << 53) - 1;

class ReadFilesJob : public Worker {
 public:
  explicit ReadFilesJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Object options = TakeObject(info[0], "options");
    request_.root = TakeString(options.Get("root"), "root");
    request_.paths = TakePaths(options.Get("paths"), options.Get("pathCount"), "paths");
    request_.file_bytes_max = TakeInteger(options.Get("fileBytesMax"), "fileBytesMax", 0, UINT32_MAX);
    request_.total_bytes_max = TakeInteger(options.Get("totalBytesMax"), "totalBytesMax", 0, kBytesMax);
    request_.algo = TakeDigestAlgo(options.Get("algo"));
  }

 protected:
  void Execute() override {
    const auto allocate = [this](size_t bytes) {
      data_ = Output(bytes);
      return data_.data();
    };
    const int status = pages::ReadBatch(request_, allocate, &result_);
    if (status != 0) return FailErrno(-status, "read below '" + request_.root + "'");
    data_.Shrink(result_.data_bytes);
    for (const std::string& list : result_.xattrs) {
      xattr_lengths_.push_back(static_cast<uint32_t>(list.size()));
      xattrs_ += list;
    }
  }

  Napi::Value Resolve(Napi::Env env) override {
    const size_t done = result_.status.size();
    Napi::Int32Array status = Napi::Int32Array::New(env, done);
    for (size_t i = 0; i < done; ++i) status[i] = result_.status[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("done", Napi::Number::New(env, static_cast<double>(done)));
    object.Set("status", status);
    object.Set("rows", RowsToArray(env, result_.rows.data(), done));
    object.Set("lengths", CopyToUint32Array(env, result_.lengths));
    object.Set("data", data_.ToBuffer(env));
    object.Set("digests", MoveToBuffer(env, std::move(result_.digests)));
    object.Set("xattrLengths", CopyToUint32Array(env, xattr_lengths_));
    object.Set("xattrs", MoveToBuffer(env, std::move(xattrs_)));
    return object;
  }

 private:
  pages::BatchReadRequest request_;
  pages::BatchReadResult result_;
  Output data_;
  std::vector<uint32_t> xattr_lengths_;
  std::string xattrs_;
};

}  // namespace

void RegisterReadFiles(Napi::Env env, Napi::Object exports) { Export(env, exports, "readFiles", RunJob<ReadFilesJob>); }

}  // namespace dk
