// decodeSlices: of each blob only the bytes that somebody asked for. The blob is decoded whole (and verified, unless
// the caller does that in another way) in memory that the thread keeps, which stays in the processor's cache; a few
// pages out of many blobs then cost no fresh memory. Payloads and contexts are pieces of the caller's buffers, so that
// nothing is joined in JavaScript; contexts may also be pieces of earlier items of the batch, so that a chain of deltas
// is one crossing, and what lies between its ends never leaves here.
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>

#include "binding/args.h"
#include "binding/blobs.h"
#include "binding/digest_by.h"
#include "binding/register.h"
#include "common/task_graph.h"

namespace dk {
namespace {

constexpr uint64_t kSlicesBytesMax = uint64_t{1} << 31;
// Of one item; memory of this size is kept by every thread.
constexpr uint32_t kDecodedBytesMax = 16u << 20;
constexpr uint64_t kContextBytesMax = 64u << 20;
// Place of a slice that goes to `data`.
constexpr uint32_t kInData = 0xffffffff;
// Buffer number of context bytes that are all zero.
constexpr uint32_t kZeros = 0xffffffff;
// From here on buffer numbers of context bytes mean items of the batch.
constexpr uint32_t kItems = 0x80000000;

// Which items must have their digests: see SliceBatch of src/engine/blob-batches.ts.
enum class Verify { kAll, kEnds, kNone };

// Memory of items that later ones need, used again when these are done.
class Rooms {
 public:
  struct Room {
    std::unique_ptr<uint8_t[]> bytes;
    size_t length = 0;
  };

  // At least this long. Throws std::bad_alloc.
  Room Take(size_t length) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (size_t i = free_.size(); i-- > 0;) {
        if (free_[i].length < length) continue;
        Room room = std::move(free_[i]);
        free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
        return room;
      }
    }
    return {std::unique_ptr<uint8_t[]>(new uint8_t[length]), length};
  }

  void Give(Room room) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(room));
  }

 private:
  std::mutex mutex_;
  std::vector<Room> free_;
};

class SlicesJob : public DecodingJob {
 public:
  explicit SlicesJob(const Napi::CallbackInfo& info) : DecodingJob(info.Env()) {
    const Napi::Object batch = TakeObject(info[0], "batch");
    TakeBuffers(batch.Get("buffers"));
    payloads_ = Copy(batch, "payloads");
    decoded_ = Copy(batch, "decodedLengths");
    contexts_ = Copy(batch, "contexts");
    slices_ = Copy(batch, "slices");
    places_ = Copy(batch, "places");
    TakeTarget(batch.Get("target"));
    codecs_ = TakeBytes(batch.Get("codecs"), "codecs", this);
    digests_ = TakeBytes(batch.Get("digests"), "digests", this);
    algo_ = TakeAlgo(batch.Get("algo"));
    verify_ = TakeVerify(batch.Get("verify"));
    const size_t count = decoded_.size();
    if (payloads_.size() != 3 * count || codecs_.length != count || digests_.length != count * kDigestBytes) {
      ThrowRange(info.Env(), "the arrays of a batch must describe equally many items");
    }
    context_starts_ = Starts(info.Env(), Copy(batch, "contextCounts"), count, contexts_.size() / 3, "contexts");
    slice_starts_ = Starts(info.Env(), Copy(batch, "sliceCounts"), count, slices_.size() / 2, "slices");
    Check(info.Env());
  }

 private:
  void TakeBuffers(Napi::Value value) {
    if (!value.IsArray()) ThrowType(value.Env(), "buffers must be an array");
    const Napi::Array list = value.As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) buffers_.push_back(TakeBytes(list.Get(i), "buffers", this));
  }

  static Verify TakeVerify(Napi::Value value) {
    if (value.IsUndefined()) return Verify::kAll;
    if (value.IsString()) {
      const std::string name = value.As<Napi::String>().Utf8Value();
      if (name == "all") return Verify::kAll;
      if (name == "ends") return Verify::kEnds;
      if (name == "none") return Verify::kNone;
    }
    ThrowType(value.Env(), "verify must be 'all', 'ends' or 'none'");
  }

  // Written in place, so it must not be memory that can move or vanish.
  void TakeTarget(Napi::Value value) {
    const Bytes bytes = TakeBytes(value, "target", this);
    if (bytes.copy) ThrowType(value.Env(), "target must not be shared or resizable memory");
    target_ = const_cast<uint8_t*>(bytes.data);
    target_length_ = bytes.length;
  }

  // Copied: read once, so that what was checked is what is used.
  static std::vector<uint32_t> Copy(const Napi::Object& batch, const char* name) {
    const Bytes words = TakeWords(batch.Get(name), name);
    return std::vector<uint32_t>(words.words(), words.words() + words.length / 4);
  }

  static std::vector<size_t> Starts(Napi::Env env, const std::vector<uint32_t>& counts, size_t items, size_t elements,
                                    const char* name) {
    std::vector<size_t> starts{0};
    uint64_t total = 0;
    for (const uint32_t count : counts) {
      total += count;
      starts.push_back(static_cast<size_t>(total));
    }
    if (counts.size() != items || total != elements) {
      ThrowRange(env, std::string("the counts do not fit ") + name);
    }
    return starts;
  }

  // Notes what item `i` needs of earlier ones.
  void CheckContext(Napi::Env env, const uint32_t* piece, size_t i) {
    if (piece[0] == kZeros) return;
    if (piece[0] < kItems) return CheckPiece(env, piece);
    const uint32_t item = piece[0] - kItems;
    if (item >= i || uint64_t{piece[1]} + piece[2] > decoded_[item]) ThrowRange(env, "a piece lies in no earlier item");
    ++uses_[item];
    graph_->Add(item, static_cast<uint32_t>(i));
  }

  void CheckPiece(Napi::Env env, const uint32_t* piece) const {
    if (piece[0] >= buffers_.size() || uint64_t{piece[1]} + piece[2] > buffers_[piece[0]].length) {
      ThrowRange(env, "a piece lies outside its buffer");
    }
  }

  void Check(Napi::Env env) {
    if (contexts_.size() % 3 != 0 || slices_.size() != 2 * places_.size()) {
      ThrowRange(env, "contexts, slices or places are cut off");
    }
    if (decoded_.size() >= kItems) throw MakeError(env, "DK_LIMIT", "too many items");
    graph_ = std::make_unique<TaskGraph>(decoded_.size());
    uses_ = std::vector<std::atomic<uint32_t>>(decoded_.size());
    for (size_t i = 0; i < decoded_.size(); ++i) {
      CheckPiece(env, &payloads_[3 * i]);
      uint64_t context = 0;
      for (size_t at = context_starts_[i]; at < context_starts_[i + 1]; ++at) {
        CheckContext(env, &contexts_[3 * at], i);
        context += contexts_[3 * at + 2];
      }
      if (decoded_[i] > kDecodedBytesMax || context > kContextBytesMax) {
        throw MakeError(env, "DK_LIMIT", "an item or its context is too long");
      }
      for (size_t at = slice_starts_[i]; at < slice_starts_[i + 1]; ++at) {
        if (uint64_t{slices_[2 * at]} + slices_[2 * at + 1] > decoded_[i]) ThrowRange(env, "a slice leaves its item");
        if (places_[at] == kInData) {
          out_starts_.push_back(total_);
          total_ += slices_[2 * at + 1];
        } else {
          if (uint64_t{places_[at]} + slices_[2 * at + 1] > target_length_)
            ThrowRange(env, "a slice leaves the target");
          out_starts_.push_back(0);
        }
      }
      if (total_ > kSlicesBytesMax) throw MakeError(env, "DK_LIMIT", "the slices add up to more than 2 GiB");
    }
  }

  void Execute() override {
    // What an item that is not decoded leaves is nobody's context.
    status_.assign(decoded_.size(), kUndecodable);
    if (graph_->empty()) return DecodingJob::Execute();
    data_ = Output(total_);
    items_ = std::vector<const uint8_t*>(decoded_.size());
    kept_ = std::vector<Rooms::Room>(decoded_.size());
    graph_->Run([this](size_t i) {
      if (Cancelled()) return;
      Decode(i);
      for (size_t at = context_starts_[i]; at < context_starts_[i + 1]; ++at) {
        const uint32_t buffer = contexts_[3 * at];
        if (buffer < kItems || buffer == kZeros) continue;
        Rooms::Room& room = kept_[buffer - kItems];
        if (uses_[buffer - kItems].fetch_sub(1) == 1 && room.bytes) rooms_.Give(std::move(room));
      }
    });
  }

  bool ContextsGood(size_t i) const {
    for (size_t at = context_starts_[i]; at < context_starts_[i + 1]; ++at) {
      const uint32_t buffer = contexts_[3 * at];
      if (buffer >= kItems && buffer != kZeros && status_[buffer - kItems] != kGood) return false;
    }
    return true;
  }

  // Where a slice goes.
  uint8_t* Out(size_t slice) {
    return places_[slice] == kInData ? data_.data() + out_starts_[slice] : target_ + places_[slice];
  }

  zstd::Span Context(size_t i, std::vector<uint8_t>* joined) const {
    const size_t first = context_starts_[i];
    const size_t end = context_starts_[i + 1];
    if (first == end) return {};
    if (end - first == 1 && contexts_[3 * first] != kZeros) return Piece(&contexts_[3 * first]);
    joined->clear();
    for (size_t at = first; at < end; ++at) {
      const uint32_t* piece = &contexts_[3 * at];
      if (piece[0] == kZeros) {
        joined->resize(joined->size() + piece[2]);
      } else {
        const zstd::Span bytes = Piece(piece);
        joined->insert(joined->end(), bytes.data, bytes.data + bytes.length);
      }
    }
    return {joined->data(), joined->size()};
  }

  zstd::Span Piece(const uint32_t* piece) const {
    const uint8_t* bytes = piece[0] < kItems ? buffers_[piece[0]].data : items_[piece[0] - kItems];
    return {bytes + piece[1], piece[2]};
  }

  // Memory for the whole item: where it is wanted, or kept for later items, or the thread's.
  uint8_t* Whole(size_t i, bool wanted, std::vector<uint8_t>* scratch) {
    if (wanted) return Out(slice_starts_[i]);
    if (uses_[i] > 0) {
      kept_[i] = rooms_.Take(decoded_[i]);
      return kept_[i].bytes.get();
    }
    if (scratch->size() < decoded_[i]) scratch->resize(decoded_[i]);
    return scratch->data();
  }

  void Decode(size_t i) override {
    static thread_local std::vector<uint8_t> joined;
    static thread_local std::vector<uint8_t> scratch;
    const size_t first = slice_starts_[i];
    const size_t end = slice_starts_[i + 1];
    const bool whole = end - first == 1 && slices_[2 * first] == 0 && slices_[2 * first + 1] == decoded_[i];
    uint8_t* decoded = Whole(i, whole, &scratch);
    if (ContextsGood(i)) {
      const zstd::Span payload = Piece(&payloads_[3 * i]);
      const Coded coded{codecs_.data[i], payload, Context(i, &joined), digests_.data + i * kDigestBytes};
      // Of a link of a chain nobody but other links sees anything.
      const bool verified = verify_ == Verify::kEnds ? first < end : verify_ == Verify::kAll;
      status_[i] =
          verified ? DecodeVerified(coded, algo_, decoded, decoded_[i]) : DecodeUnverified(coded, decoded, decoded_[i]);
    } else {
      status_[i] = kContextLost;
    }
    if (uses_[i] > 0) items_[i] = decoded;
    for (size_t at = first; at < end; ++at) {
      const uint32_t length = slices_[2 * at + 1];
      if (length == 0) continue;
      if (status_[i] != kGood) {
        memset(Out(at), 0, length);
      } else if (!whole) {
        memcpy(Out(at), decoded + slices_[2 * at], length);
      }
    }
  }

  std::vector<Bytes> buffers_;
  Verify verify_ = Verify::kAll;
  std::vector<uint32_t> payloads_;
  std::vector<uint32_t> contexts_;
  std::vector<uint32_t> slices_;
  std::vector<size_t> context_starts_;
  std::vector<size_t> slice_starts_;
  std::vector<uint32_t> places_;
  // Per slice, in `data`.
  std::vector<uint64_t> out_starts_;
  uint8_t* target_ = nullptr;
  size_t target_length_ = 0;
  // Who waits for whom, and how many pieces of each item later ones still need.
  std::unique_ptr<TaskGraph> graph_;
  std::vector<std::atomic<uint32_t>> uses_;
  // Per item that later ones need: its bytes, and the memory when that is nobody else's.
  std::vector<const uint8_t*> items_;
  std::vector<Rooms::Room> kept_;
  Rooms rooms_;
};

}  // namespace

void RegisterBlobsSlices(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "decodeSlices", RunJob<SlicesJob>);
}

}  // namespace dk
