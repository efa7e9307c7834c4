// Two lessons are built in. A prefix needs a window that reaches all of it, and
// for large inputs long-distance matching, or the library only indexes the end of
// the prefix: megabytes instead of kilobytes. And contexts grow with the largest
// job they ever had, so a large one is given back instead of kept.
#include "zstd/zstd_face.h"

#include <algorithm>
#include <memory>

#define ZSTD_STATIC_LINKING_ONLY
#include "zstd/vendor/zstd.h"

namespace dk::zstd {
namespace {

constexpr size_t kLongDistanceFrom = 1 << 20;
// A context above this size is freed after use: a level 3 context is about 1.5 MiB.
constexpr size_t kKeptContextBytes = 16 << 20;
constexpr int kWindowLogMax = 31;
// One place in so many (a power of two) is remembered for matches far apart.
constexpr int kSparseHashRateLog = 9;
// Level 19 takes about a second for this much.
constexpr size_t kStepBytes = 2 << 20;

// Of the format (RFC 8878): the whole content is the window, a block that repeats one byte, and what one block may
// hold.
constexpr unsigned kSingleSegment = 32;
constexpr unsigned kTypeRepeat = 1;
constexpr size_t kBlockMost = 128 << 10;
constexpr size_t kRepeatBlock = 4;
constexpr size_t kHeaderMost = 13;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

thread_local std::unique_ptr<ZSTD_CCtx, FreeCompressor> t_compressor;
// Of its own: its tables are tiny, and a context that changes between small and large allocates again and again.
thread_local std::unique_ptr<ZSTD_CCtx, FreeCompressor> t_literal_compressor;
thread_local std::unique_ptr<ZSTD_DCtx, FreeDecompressor> t_decompressor;

bool Good(size_t result) { return !ZSTD_isError(result); }

Status Configure(ZSTD_CCtx* context, size_t length, const Settings& settings) {
  bool good = Good(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters)) &&
              Good(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, settings.level)) &&
              Good(ZSTD_CCtx_setPledgedSrcSize(context, length));
  if (settings.dictionary.length > 0) {
    good = good &&
           Good(ZSTD_CCtx_loadDictionary_byReference(context, settings.dictionary.data, settings.dictionary.length));
  }
  int window_log = settings.window_log;
  const size_t reach = settings.context.length + length;
  if ((settings.context.length > 0 || settings.long_distance) && reach > kLongDistanceFrom) {
    if (window_log == 0) {
      window_log = ZSTD_WINDOWLOG_MIN;
      while (window_log < kWindowLogMax && (size_t{1} << window_log) < reach) ++window_log;
    }
    good = good && Good(ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, ZSTD_ps_enable));
    // Versions of a text, one after the other: where every place is looked up, far matches break up better near ones
    // (a group of 8 MiB: 60.6 KB by default, 56.8 KB so).
    if (settings.long_distance) {
      good = good && Good(ZSTD_CCtx_setParameter(context, ZSTD_c_ldmHashRateLog, kSparseHashRateLog));
    }
  }
  if (window_log > 0) good = good && Good(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log));
  if (settings.context.length > 0) {
    // A prefix is always raw content to the library, whatever its first bytes are.
    good = good && Good(ZSTD_CCtx_refPrefix(context, settings.context.data, settings.context.length));
  }
  return good ? Status::kOk : Status::kArgument;
}

// Whole input at once, or in steps between which `stop` is asked. Both buffers stay where they are, so the
// steps copy nothing and the frame comes out the same. A result above `capacity` is an error code of zstd.
size_t CompressAll(ZSTD_CCtx* context, Span source, const Settings& settings, uint8_t* out, size_t capacity,
                   bool* stopped) {
  if (source.length <= kStepBytes || !settings.stop) {
    return ZSTD_compress2(context, out, capacity, source.data, source.length);
  }
  ZSTD_CCtx_setParameter(context, ZSTD_c_stableInBuffer, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_stableOutBuffer, 1);
  ZSTD_inBuffer in = {source.data, 0, 0};
  ZSTD_outBuffer to = {out, capacity, 0};
  for (;;) {
    if (settings.stop()) {
      *stopped = true;
      return 0;
    }
    in.size += std::min(kStepBytes, source.length - in.size);
    const bool last = in.size == source.length;
    const size_t left = ZSTD_compressStream2(context, &to, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (!Good(left)) return left;
    if (last && left == 0) return to.pos;
  }
}

}  // namespace

size_t Bound(size_t length) {
  const size_t bound = ZSTD_compressBound(length);
  return Good(bound) ? bound : 0;
}

Status Compress(Span source, const Settings& settings, uint8_t* out, size_t capacity, size_t* written) {
  if (settings.level < 1 || settings.level > 19) return Status::kArgument;
  if (settings.context.length > 0 && settings.dictionary.length > 0) return Status::kArgument;
  if (!t_compressor) t_compressor.reset(ZSTD_createCCtx());
  if (!t_compressor) return Status::kMemory;
  ZSTD_CCtx* context = t_compressor.get();
  const Status configured = Configure(context, source.length, settings);
  if (configured != Status::kOk) return configured;
  bool stopped = false;
  const size_t result = CompressAll(context, source, settings, out, capacity, &stopped);
  // Forget the references: their memory belongs to the caller.
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  if (ZSTD_sizeof_CCtx(context) > kKeptContextBytes) t_compressor.reset();
  if (stopped) return Status::kCancelled;
  if (!Good(result)) return Status::kMemory;
  *written = result;
  return Status::kOk;
}

size_t RepeatRoom(size_t length) { return kHeaderMost + (length / kBlockMost + 1) * kRepeatBlock; }

size_t CompressRepeat(uint8_t byte, size_t length, uint8_t* out) {
  uint8_t* at = out;
  const auto put = [&](uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) *at++ = static_cast<uint8_t>(value >> (8 * i));
  };
  // The length takes 1, 2, 4 or 8 bytes; that of two counts from where that of one ends.
  const unsigned code = length < 256 ? 0 : length < 65536 + 256 ? 1 : length <= UINT32_MAX ? 2 : 3;
  put(ZSTD_MAGICNUMBER, 4);
  put(code << 6 | kSingleSegment, 1);
  put(code == 1 ? length - 256 : length, 1u << code);
  while (length > 0) {
    const size_t block = std::min(length, kBlockMost);
    length -= block;
    put(uint64_t{block} << 3 | kTypeRepeat << 1 | (length == 0 ? 1 : 0), 3);
    put(byte, 1);
  }
  return static_cast<size_t>(at - out);
}

Status CompressLiterals(Span source, uint8_t* out, size_t capacity, size_t* written) {
  if (!t_literal_compressor) {
    t_literal_compressor.reset(ZSTD_createCCtx());
    ZSTD_CCtx* fresh = t_literal_compressor.get();
    // Nothing is searched, so the smallest tables do.
    if (fresh == nullptr || !Good(ZSTD_CCtx_setParameter(fresh, ZSTD_c_strategy, ZSTD_fast)) ||
        !Good(ZSTD_CCtx_setParameter(fresh, ZSTD_c_windowLog, 17)) ||
        !Good(ZSTD_CCtx_setParameter(fresh, ZSTD_c_hashLog, ZSTD_HASHLOG_MIN)) ||
        !Good(ZSTD_CCtx_setParameter(fresh, ZSTD_c_chainLog, ZSTD_CHAINLOG_MIN)) ||
        !Good(ZSTD_CCtx_setParameter(fresh, ZSTD_c_literalCompressionMode, ZSTD_ps_enable))) {
      t_literal_compressor.reset();
      return Status::kMemory;
    }
  }
  const ZSTD_Sequence none = {};
  const size_t result =
      ZSTD_compressSequences(t_literal_compressor.get(), out, capacity, &none, 0, source.data, source.length);
  if (!Good(result)) return Status::kMemory;
  *written = result;
  return Status::kOk;
}

Status Decompress(Span frame, Span context, Span dictionary, uint8_t* out, size_t length) {
  uint64_t declared = 0;
  if (ZSTD_findFrameCompressedSize(frame.data, frame.length) != frame.length) {
    return Status::kCorrupt;
  }
  // Before any work: a frame that declares another length cannot be right.
  if (ContentSize(frame, &declared) && declared != length) return Status::kCorrupt;
  if (!t_decompressor) t_decompressor.reset(ZSTD_createDCtx());
  if (!t_decompressor) return Status::kMemory;
  ZSTD_DCtx* decoder = t_decompressor.get();
  ZSTD_DCtx_reset(decoder, ZSTD_reset_session_and_parameters);
  bool good = true;
  if (context.length > 0) good = Good(ZSTD_DCtx_refPrefix(decoder, context.data, context.length));
  if (dictionary.length > 0) {
    good = Good(ZSTD_DCtx_loadDictionary_byReference(decoder, dictionary.data, dictionary.length));
  }
  size_t result = 0;
  if (good) result = ZSTD_decompressDCtx(decoder, out, length, frame.data, frame.length);
  ZSTD_DCtx_reset(decoder, ZSTD_reset_session_and_parameters);
  return good && Good(result) && result == length ? Status::kOk : Status::kCorrupt;
}

Status Stream(Span frame, size_t length, const std::function<bool(Span)>& take) {
  ZSTD_FrameHeader header;
  if (length == 0 || ZSTD_getFrameHeader(&header, frame.data, frame.length) != 0) return Status::kCorrupt;
  if (header.frameType != ZSTD_frame || header.frameContentSize != length) return Status::kCorrupt;
  if (ZSTD_findFrameCompressedSize(frame.data, frame.length) != frame.length) return Status::kCorrupt;
  const size_t capacity = ZSTD_decodingBufferSize_min(header.windowSize, header.frameContentSize);
  if (!Good(capacity)) return Status::kCorrupt;
  if (!t_decompressor) t_decompressor.reset(ZSTD_createDCtx());
  if (!t_decompressor) return Status::kMemory;
  ZSTD_DCtx* decoder = t_decompressor.get();
  const std::unique_ptr<uint8_t[]> ring(new uint8_t[capacity]);
  const auto decode = [&]() -> bool {
    size_t read = 0;
    size_t at = 0;
    size_t done = 0;
    for (size_t want = ZSTD_nextSrcSizeToDecompress(decoder); want > 0; want = ZSTD_nextSrcSizeToDecompress(decoder)) {
      if (want > frame.length - read) return false;
      // As zstd's own streaming does it: a block never goes on at the beginning.
      if (capacity < length && at + header.blockSizeMax > capacity) at = 0;
      const size_t got = ZSTD_decompressContinue(decoder, ring.get() + at, capacity - at, frame.data + read, want);
      if (!Good(got) || got > length - done) return false;
      read += want;
      done += got;
      if (got > 0 && !take({ring.get() + at, got})) return true;
      at += got;
    }
    return done == length && read == frame.length;
  };
  ZSTD_DCtx_reset(decoder, ZSTD_reset_session_and_parameters);
  const bool good = Good(ZSTD_decompressBegin(decoder)) && decode();
  ZSTD_DCtx_reset(decoder, ZSTD_reset_session_and_parameters);
  return good ? Status::kOk : Status::kCorrupt;
}

bool ContentSize(Span frame, uint64_t* size) {
  const unsigned long long declared = ZSTD_getFrameContentSize(frame.data, frame.length);
  if (declared == ZSTD_CONTENTSIZE_UNKNOWN || declared == ZSTD_CONTENTSIZE_ERROR) return false;
  if (ZSTD_findFrameCompressedSize(frame.data, frame.length) != frame.length) return false;
  *size = declared;
  return true;
}

bool LooksLikeDictionary(Span context) {
  return context.length >= 4 && context.data[0] == 0x37 && context.data[1] == 0xa4 && context.data[2] == 0x30 &&
         context.data[3] == 0xec;
}

const char* Version() { return ZSTD_versionString(); }

}  // namespace dk::zstd
