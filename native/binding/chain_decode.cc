// decodeChains: many blobs, each with the chain of deltas that it is made of, to one room. The links of a chain are
// decoded by one thread from one piece of memory to another and back, which stay in the processor's cache; what lies
// between the ends never leaves the thread. Records of blobs that stand alone are read by the thread that decodes them.
#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "binding/args.h"
#include "binding/blobs.h"
#include "binding/digest_by.h"
#include "binding/file_places.h"
#include "binding/register.h"
#include "chain/chain_forest.h"
#include "common/task_graph.h"
#include "pages/run_read.h"

namespace dk {
namespace {

// Of blobs that nobody asked for and that several others are made of: all of them at once, at worst.
constexpr uint64_t kSharedBytesMax = 64u << 20;

class ChainsJob : public Worker {
 public:
  explicit ChainsJob(const Napi::CallbackInfo& info) : Worker(info.Env()) {
    const Napi::Env env = info.Env();
    const Napi::Object batch = TakeObject(info[0], "batch");
    const Napi::Value pieces = batch.Get("records");
    if (!pieces.IsArray()) ThrowType(env, "records must be an array");
    const Napi::Array list = pieces.As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) memory_.push_back(TakeBytes(list.Get(i), "records", this));
    fds_ = TakeDescriptors(batch.Get("fds"));
    places_ = TakePlaces(batch.Get("places"), batch.Get("placeDigests"), fds_.size());
    const Bytes digests = TakeBytes(batch.Get("digests"), "digests");
    digests_.assign(digests.data, digests.data + digests.length);
    const Bytes lengths = TakeWords(batch.Get("decodedLengths"), "decodedLengths");
    decoded_.assign(lengths.words(), lengths.words() + lengths.length / 4);
    if (digests_.size() != decoded_.size() * kDigestBytes) {
      ThrowRange(env, "the arrays of a batch must describe equally many items");
    }
    uint64_t total = 0;
    for (const uint32_t length : decoded_) {
      starts_.push_back(total);
      total += length;
    }
    target_ = TakeRoom(batch.Get("target"), static_cast<size_t>(total), this);
    algo_ = TakeAlgo(batch.Get("algo"));
  }

 protected:
  void Execute() override {
    status_.assign(decoded_.size(), kUndecodable);
    std::vector<ByteSpan> memory;
    for (const Bytes& piece : memory_) memory.push_back({piece.data, piece.length});
    std::vector<const uint8_t*> wanted;
    for (size_t i = 0; i < decoded_.size(); ++i) wanted.push_back(digests_.data() + i * kDigestBytes);
    forest_ = std::make_unique<chain::Forest>(memory, places_.records, wanted);
    AdviseRecords();
    const std::vector<chain::Run>& runs = forest_->runs();
    ends_ = std::vector<End>(runs.size());
    TaskGraph graph(runs.size());
    for (size_t i = 0; i < runs.size(); ++i) {
      ends_[i].uses = runs[i].uses;
      if (runs[i].below != chain::kNone) graph.Add(runs[i].below, static_cast<uint32_t>(i));
    }
    graph.Run([this](size_t i) {
      if (!Cancelled()) Decode(i);
    });
  }

  Napi::Value Resolve(Napi::Env env) override { return CopyToUint8Array(env, status_); }

 private:
  // What a run ends in, for those that begin there.
  struct End {
    const uint8_t* bytes = nullptr;
    size_t length = 0;
    bool good = false;
    std::unique_ptr<uint8_t[]> own;
    std::atomic<uint32_t> uses{0};
  };

  // The disk has something to do meanwhile, in the order in which the records stand there.
  void AdviseRecords() const {
    if (places_.records.size() < 2) return;
    std::vector<pages::Piece> pieces;
    for (const chain::FileRecord& place : places_.records) {
      if (fds_[place.file] >= 0) pieces.push_back({place.file, {place.offset, place.length}, 0});
    }
    pages::AdvisePieces(fds_, pieces);
  }

  void Decode(size_t number) {
    const chain::Run& run = forest_->runs()[number];
    ByteSpan context;
    bool good = true;
    if (run.below != chain::kNone) {
      const End& below = ends_[run.below];
      good = below.good;
      context = {below.bytes, below.length};
    }
    if (good) DecodeRun(number, run, context);
    if (run.below == chain::kNone) return;
    End& below = ends_[run.below];
    if (below.uses.fetch_sub(1) == 1 && below.own) {
      below.own.reset();
      shared_bytes_ -= below.length;
    }
  }

  void DecodeRun(size_t number, const chain::Run& run, ByteSpan context) {
    static thread_local std::vector<uint8_t> links[2];
    for (size_t i = 0; i < run.nodes.size(); ++i) {
      const chain::Node& node = forest_->nodes()[run.nodes[i]];
      chain::Link link = node.link;
      if (node.file_record != chain::kNone && !ReadAlone(places_.records[node.file_record], &link)) return;
      if (node.below != chain::kNone && context.length != node.below_bytes) return;
      const Coded coded{
          link.codec, {link.payload.data, link.payload.length}, {context.data, context.length}, node.digest.data()};
      if (i + 1 == run.nodes.size()) return DecodeEnd(number, node, link.decoded, coded);
      std::vector<uint8_t>& room = links[i % 2];
      if (room.size() < link.decoded) room.resize(link.decoded);
      if (Cancelled() || DecodeUnverified(coded, room.data(), link.decoded) != kGood) return;
      context = {room.data(), link.decoded};
    }
  }

  void DecodeEnd(size_t number, const chain::Node& node, uint32_t length, const Coded& coded) {
    End& end = ends_[number];
    end.length = length;
    if (node.wanted != chain::kNone) {
      if (decoded_[node.wanted] != length) return;
      uint8_t* out = target_ + starts_[node.wanted];
      end.bytes = out;
      const uint8_t status = DecodeVerified(coded, algo_, out, length);
      end.good = status == kGood;
      status_[node.wanted] = status;
      return;
    }
    // Of what lies between ends only what is made of it counts.
    if (shared_bytes_.fetch_add(length) + length > kSharedBytesMax) {
      shared_bytes_ -= length;
      return;
    }
    end.own.reset(new uint8_t[length]);
    end.bytes = end.own.get();
    end.good = DecodeUnverified(coded, end.own.get(), length) == kGood;
  }

  // Into memory of the thread. What needs a context is not alone, whatever the index says.
  bool ReadAlone(const chain::FileRecord& place, chain::Link* link) const {
    static thread_local std::vector<uint8_t> record;
    const size_t length = static_cast<size_t>(place.length);
    if (record.size() < length) record.resize(length);
    const int fd = fds_[place.file];
    if (fd < 0 || pages::ReadRun(fd, {place.offset, length}, record.data()) != static_cast<int64_t>(length))
      return false;
    const ByteSpan bytes{record.data(), length};
    return chain::RecordBytes(bytes, 0) == length && chain::ReadRecord(bytes, 0, place.digest, link) &&
           link->context_list.length == 0;
  }

  std::vector<Bytes> memory_;
  std::vector<int> fds_;
  Places places_;
  std::vector<uint8_t> digests_;
  std::vector<uint32_t> decoded_;
  std::vector<size_t> starts_;
  uint8_t* target_ = nullptr;
  Algo algo_ = Algo::kBlake3;
  std::unique_ptr<chain::Forest> forest_;
  std::vector<End> ends_;
  std::atomic<uint64_t> shared_bytes_{0};
  std::vector<uint8_t> status_;
};

}  // namespace

void RegisterChainDecode(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "decodeChains", RunJob<ChainsJob>);
}

}  // namespace dk
