// decodeSlices: of each blob only the bytes that somebody asked for. The blob is decoded and verified whole in
// memory that the thread keeps, which stays in the processor's cache; a few pages out of many blobs then cost no
// fresh memory. Payloads and contexts are pieces of the caller's buffers, so that nothing is joined in JavaScript.
#include <cstring>

#include "binding/args.h"
#include "binding/blobs.h"
#include "binding/digest_by.h"
#include "binding/register.h"

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

  void CheckPiece(Napi::Env env, const uint32_t* piece, bool zeros_allowed) const {
    if (piece[0] == kZeros && zeros_allowed) return;
    if (piece[0] >= buffers_.size() || uint64_t{piece[1]} + piece[2] > buffers_[piece[0]].length) {
      ThrowRange(env, "a piece lies outside its buffer");
    }
  }

  void Check(Napi::Env env) {
    if (contexts_.size() % 3 != 0 || slices_.size() != 2 * places_.size()) {
      ThrowRange(env, "contexts, slices or places are cut off");
    }
    for (size_t i = 0; i < decoded_.size(); ++i) {
      CheckPiece(env, &payloads_[3 * i], false);
      uint64_t context = 0;
      for (size_t at = context_starts_[i]; at < context_starts_[i + 1]; ++at) {
        CheckPiece(env, &contexts_[3 * at], true);
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

  zstd::Span Piece(const uint32_t* piece) const { return {buffers_[piece[0]].data + piece[1], piece[2]}; }

  void Decode(size_t i) override {
    static thread_local std::vector<uint8_t> joined;
    static thread_local std::vector<uint8_t> scratch;
    const size_t first = slice_starts_[i];
    const size_t end = slice_starts_[i + 1];
    const bool whole = end - first == 1 && slices_[2 * first] == 0 && slices_[2 * first + 1] == decoded_[i];
    if (!whole && scratch.size() < decoded_[i]) scratch.resize(decoded_[i]);
    uint8_t* decoded = whole ? Out(first) : scratch.data();
    const Coded coded{codecs_.data[i], Piece(&payloads_[3 * i]), Context(i, &joined), digests_.data + i * kDigestBytes};
    status_[i] = DecodeVerified(coded, algo_, decoded, decoded_[i]);
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
};

}  // namespace

void RegisterBlobsSlices(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "decodeSlices", RunJob<SlicesJob>);
}

}  // namespace dk
