// sketchMany: what pieces of some bytes have in common with others, in one crossing.
#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "chunk/sketch.h"
#include "common/thread_pool.h"

namespace dk {
namespace {

class SketchJob : public Worker {
 public:
  explicit SketchJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        bytes_(TakeBytes(info[0], "data", this)),
        pieces_(CopyPieces(TakeWords(info[1], "pieces"))),
        features_(pieces_.size() * chunk::kSketchFeatures) {
    for (const Piece& piece : pieces_) {
      if (uint64_t{piece.offset} + piece.length > bytes_.length) ThrowRange(info.Env(), "a piece leaves the data");
      sketched_ += piece.length;
    }
  }

 protected:
  void Execute() override {
    const auto sketch = [this](size_t i) {
      if (Cancelled()) return;
      const Piece& piece = pieces_[i];
      chunk::Sketch(bytes_.data + piece.offset, piece.length, features_.data() + i * chunk::kSketchFeatures);
    };
    if (!IsQuick()) return ParallelFor(pieces_.size(), sketch);
    for (size_t i = 0; i < pieces_.size(); ++i) sketch(i);
  }

  bool IsQuick() const override { return sketched_ <= kQuickBytes; }

  Napi::Value Resolve(Napi::Env env) override { return CopyToUint32Array(env, features_); }

 private:
  // Sketched in about 10 us.
  static constexpr size_t kQuickBytes = 16 << 10;
  struct Piece {
    uint32_t offset;
    uint32_t length;
  };

  // Copied: the words may change under the job.
  static std::vector<Piece> CopyPieces(const Bytes& words) {
    std::vector<Piece> pieces(words.length / sizeof(Piece));
    for (size_t i = 0; i < pieces.size(); ++i) pieces[i] = {words.words()[2 * i], words.words()[2 * i + 1]};
    return pieces;
  }

  const Bytes bytes_;
  const std::vector<Piece> pieces_;
  uint64_t sketched_ = 0;
  std::vector<uint32_t> features_;
};

}  // namespace

void RegisterSketch(Napi::Env env, Napi::Object exports) { Export(env, exports, "sketchMany", RunJob<SketchJob>); }

}  // namespace dk
