// One payload back into bytes, verified by its digest.
#include <cstring>
#include <new>

#include "binding/blobs.h"
#include "binding/digest_by.h"
#include "xor/xor.h"

namespace dk {
namespace {

Status DecodeOne(uint8_t codec, zstd::Span payload, zstd::Span context, uint8_t* out, size_t length) {
  switch (static_cast<Codec>(codec)) {
    case Codec::kRaw:
      if (payload.length != length) return Status::kCorrupt;
      if (length > 0) memcpy(out, payload.data, length);
      return Status::kOk;
    case Codec::kZstd:
      return zstd::Decompress(payload, {}, {}, out, length);
    case Codec::kZstdContext:
      return zstd::Decompress(payload, context, {}, out, length);
    case Codec::kXor:
      return xordelta::Patch(context, payload, out, length);
    default:
      return Status::kCorrupt;
  }
}

}  // namespace

uint8_t DecodeUnverified(const Coded& coded, uint8_t* out, size_t length) {
  const Status status = DecodeOne(coded.codec, coded.payload, coded.context, out, length);
  // A machine out of memory says nothing about the bytes: that fails the call, not the item.
  if (status == Status::kMemory) throw std::bad_alloc();
  return status == Status::kOk ? kGood : kUndecodable;
}

uint8_t DecodeVerified(const Coded& coded, Algo algo, uint8_t* out, size_t length) {
  if (DecodeUnverified(coded, out, length) != kGood) return kUndecodable;
  uint8_t digest[kDigestBytes];
  DigestBy(algo, out, length, digest);
  return memcmp(digest, coded.digest, kDigestBytes) == 0 ? kGood : kOtherBytes;
}

}  // namespace dk
