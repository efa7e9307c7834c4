// followChains: the records of many blobs, with those of what they are coded against as far as these stand near.
#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "binding/args.h"
#include "binding/file_places.h"
#include "binding/register.h"
#include "chain/chain_walk.h"
#include "pages/run_read.h"

namespace dk {
namespace {

// Of all records that are asked for, and of the gaps between them that are read with them.
constexpr uint64_t kRecordBytesMax = 16u << 20;
// Records so near each other are read at once.
constexpr uint64_t kGapBytes = 16u << 10;
// What is read before the first ones of all stretches: from memory a fifth of a millisecond.
constexpr uint64_t kBeforeBytes = 2u << 20;

class FollowJob : public Worker {
 public:
  explicit FollowJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Object where = TakeObject(info[0], "places");
    fds_ = TakeDescriptors(where.Get("fds"));
    places_ = TakePlaces(where.Get("places"), where.Get("placeDigests"), fds_.size());
    uint64_t total = 0;
    for (const chain::FileRecord& place : places_.records) total += place.length;
    if (total > kRecordBytesMax) ThrowRange(info.Env(), "records must have at most 16 MiB together");
  }

 protected:
  void Execute() override {
    ReadWindows();
    std::vector<ByteSpan> windows;
    for (const Window& window : windows_) windows.push_back({window.bytes.get(), window.length});
    std::vector<chain::Start> starts;
    for (size_t i = 0; i < places_.records.size(); ++i) {
      const chain::FileRecord& place = places_.records[i];
      const Window& window = windows_[window_of_[i]];
      if (window.length == 0) continue;
      starts.push_back({window_of_[i], static_cast<size_t>(place.offset - window.offset),
                        static_cast<size_t>(place.length), place.digest});
    }
    const chain::Walk walk = chain::FollowChains(windows, starts);
    size_t length = 0;
    for (const ByteSpan& record : walk.records) length += record.length;
    records_ = Output(length);
    uint8_t* to = records_.data();
    for (const ByteSpan& record : walk.records) to = std::copy_n(record.data, record.length, to);
    for (const uint8_t* digest : walk.missing) missing_.insert(missing_.end(), digest, digest + chain::kDigestBytes);
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object result = Napi::Object::New(env);
    result.Set("records", records_.ToBuffer(env));
    result.Set("missing", CopyToBuffer(env, missing_.data(), missing_.size()));
    return result;
  }

 private:
  struct Window {
    uint32_t file = 0;
    uint64_t offset = 0;
    uint64_t end = 0;
    std::unique_ptr<uint8_t[]> bytes;
    // 0 when it could not be read whole.
    size_t length = 0;
  };

  // What is coded against something was written after it: what stands behind the last one is of no use.
  void ReadWindows() {
    std::vector<size_t> order(places_.records.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [this](size_t one, size_t other) {
      const chain::FileRecord& a = places_.records[one];
      const chain::FileRecord& b = places_.records[other];
      return a.file != b.file ? a.file < b.file : a.offset < b.offset;
    });
    window_of_.resize(places_.records.size());
    uint64_t gaps = 0;
    for (const size_t i : order) {
      const chain::FileRecord& place = places_.records[i];
      const uint64_t end = place.offset + place.length;
      const bool follows = !windows_.empty() && windows_.back().file == place.file;
      const uint64_t gap = follows && place.offset > windows_.back().end ? place.offset - windows_.back().end : 0;
      if (!follows || gap > kGapBytes || gaps + gap > kRecordBytesMax) {
        Window window;
        window.file = place.file;
        window.offset = place.offset;
        windows_.push_back(std::move(window));
      } else {
        gaps += gap;
      }
      windows_.back().end = std::max(windows_.back().end, end);
      window_of_[i] = windows_.size() - 1;
    }
    const uint64_t before = kBeforeBytes / std::max<size_t>(windows_.size(), 1);
    for (size_t i = 0; i < windows_.size(); ++i) {
      Window& window = windows_[i];
      const uint64_t least = i > 0 && windows_[i - 1].file == window.file ? windows_[i - 1].end : 0;
      window.offset -= std::min(before, window.offset - std::min(least, window.offset));
    }
    AdviseWindows();
    for (size_t i = 0; i < windows_.size() && !Cancelled(); ++i) Read(&windows_[i]);
  }

  // The disk has something to do with all of them while the first is read.
  void AdviseWindows() const {
    if (windows_.size() < 2) return;
    std::vector<pages::Piece> pieces;
    for (const Window& window : windows_) {
      if (fds_[window.file] >= 0) pieces.push_back({window.file, {window.offset, window.end - window.offset}, 0});
    }
    pages::AdvisePieces(fds_, pieces);
  }

  void Read(Window* window) {
    const size_t length = static_cast<size_t>(window->end - window->offset);
    window->bytes.reset(new uint8_t[length]);
    const int64_t got = pages::ReadRun(fds_[window->file], {window->offset, length}, window->bytes.get());
    if (got == static_cast<int64_t>(length)) window->length = length;
  }

  std::vector<int> fds_;
  Places places_;
  std::vector<Window> windows_;
  // Per place.
  std::vector<size_t> window_of_;
  Output records_;
  std::vector<uint8_t> missing_;
};

}  // namespace

void RegisterChainFollow(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "followChains", RunJob<FollowJob>);
}

}  // namespace dk
