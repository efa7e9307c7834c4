// sparseDiff, sparsePatch, sparseDiffSync, sparsePatchSync, groupDigest: deltas of scattered changes, with the digest
// of the target on the way.
#include <cstring>

#include "binding/delta_job.h"
#include "binding/register.h"
#include "sparse/sparse.h"

namespace dk {
namespace {

// Digest and groups are asked for by handing in groups, be they empty.
Napi::Object DigestedObject(Napi::Env env, const sparse::Digested& digested, bool wanted) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("digest", CopyToBuffer(env, digested.digest, wanted ? sparse::DigestBytes(digested.kind) : 0));
  object.Set("groups", CopyToBuffer(env, digested.groups.data(), digested.groups.size()));
  return object;
}

Simd TakeSimd(Napi::Value value) {
  if (value.IsUndefined()) return Simd::kAvx512;
  const std::string name = TakeString(value, "simd");
  if (name == "portable") return Simd::kPortable;
  if (name == "avx2") return Simd::kAvx2;
  ThrowRange(value.Env(), "simd must be 'portable' or 'avx2'");
}

sparse::Digested TakeKind(Napi::Value value) {
  sparse::Digested digested;
  if (value.IsUndefined()) return digested;
  const std::string name = TakeString(value, "kind");
  if (name != "blake3" && name != "xxh3") ThrowRange(value.Env(), "kind must be 'blake3' or 'xxh3'");
  if (name == "xxh3") digested.kind = sparse::DigestKind::kXxh3;
  return digested;
}

bool TakeBoolean(Napi::Value value, const char* name) {
  if (!value.IsBoolean()) ThrowType(value.Env(), std::string(name) + " must be a boolean");
  return value.As<Napi::Boolean>().Value();
}

class SparseDiffJob : public DiffJob {
 public:
  explicit SparseDiffJob(const Napi::CallbackInfo& info)
      : DiffJob(info),
        level_(static_cast<int>(TakeInteger(info[2], "level", 1, 19))),
        wanted_(!info[3].IsUndefined()),
        groups_(TakeOptionalBytes(info[3], "groups", this)),
        digested_(TakeKind(info[4])),
        simd_(TakeSimd(info[5])) {}

 protected:
  void Execute() override {
    sparse::Options options;
    options.level = level_;
    options.simd = simd_;
    options.stop = [this] { return Cancelled(); };
    const Status status = sparse::Diff(SpanOf(source_), SpanOf(target_), options, &delta_, SpanOf(groups_),
                                       wanted_ ? &digested_ : nullptr);
    Accept(status, "sparseDiff");
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object object = DigestedObject(env, digested_, wanted_);
    object.Set("payload", DiffJob::Resolve(env));
    return object;
  }

 private:
  const int level_;
  const bool wanted_;
  const Bytes groups_;
  sparse::Digested digested_;
  const Simd simd_;
};

class SparsePatchJob : public PatchJob {
 public:
  explicit SparsePatchJob(const Napi::CallbackInfo& info)
      : PatchJob(info, "payload", "targetBytes"),
        wanted_(!info[3].IsUndefined()),
        groups_(TakeOptionalBytes(info[3], "groups", this)),
        into_(info[4].IsUndefined() ? nullptr : TakeRoom(info[4], length_, this)),
        digested_(TakeKind(info[5])),
        simd_(TakeSimd(info[6])) {}

 protected:
  void Execute() override {
    if (into_ == nullptr) target_ = Output(length_);
    uint8_t* const target = into_ == nullptr ? target_.data() : into_;
    const Status status = sparse::Patch(SpanOf(source_), SpanOf(delta_), target, length_, SpanOf(groups_),
                                        wanted_ ? &digested_ : nullptr, SIZE_MAX, simd_);
    Accept(status, "sparsePatch");
  }

  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object object = DigestedObject(env, digested_, wanted_);
    if (into_ == nullptr) object.Set("data", target_.ToBuffer(env));
    return object;
  }

 private:
  const bool wanted_;
  const Bytes groups_;
  uint8_t* const into_;  // of the caller; nullptr: memory of its own
  sparse::Digested digested_;
  const Simd simd_;
};

class GroupDigestJob : public Worker {
 public:
  explicit GroupDigestJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()),
        data_(TakeBytes(info[0], "data", this)),
        copies_(!info[1].IsUndefined() && TakeBoolean(info[1], "copy")),
        digested_(TakeKind(info[2])) {}

 protected:
  void Execute() override {
    if (copies_) copy_ = Output(data_.length);
    sparse::Digest(SpanOf(data_), &digested_, copies_ ? copy_.data() : nullptr);
  }
  Napi::Value Resolve(Napi::Env env) override {
    Napi::Object object = DigestedObject(env, digested_, true);
    if (copies_) object.Set("copy", copy_.ToBuffer(env));
    return object;
  }

 private:
  const Bytes data_;
  const bool copies_;
  Output copy_;
  sparse::Digested digested_;
};

// On the calling thread, for states that take less time than to wake another one. Undefined when more bytes differ than
// `changedMax`; else digest and payload in one Buffer.
// Arguments: source, target, level, groups, kind, changedMax.
Napi::Value SparseDiffSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Bytes source = TakeBytes(info[0], "source");
  const Bytes target = TakeBytes(info[1], "target");
  sparse::Options options;
  options.level = static_cast<int>(TakeInteger(info[2], "level", 1, 19));
  const Bytes groups = TakeBytes(info[3], "groups");
  sparse::Digested digested = TakeKind(info[4]);
  options.changed_max = TakeInteger(info[5], "changedMax", 0, kBufferBytesMax);
  std::vector<uint8_t> payload;
  try {
    const Status status = sparse::Diff(SpanOf(source), SpanOf(target), options, &payload, SpanOf(groups), &digested);
    // What could not be made here is made, or fails with its reason, elsewhere.
    if (status != Status::kOk) return env.Undefined();
  } catch (const std::bad_alloc&) {
    return env.Undefined();
  }
  const size_t head = sparse::DigestBytes(digested.kind);
  const auto made = Napi::Buffer<uint8_t>::New(env, head + payload.size());
  memcpy(made.Data(), digested.digest, head);
  memcpy(made.Data() + head, payload.data(), payload.size());
  return made;
}

// As SparseDiffSync: the digest of what was made at `into`; undefined when that was nothing, or for damage.
// Arguments: source, payload, targetBytes, groups, into, kind, changedMax.
Napi::Value SparsePatchSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Bytes source = TakeBytes(info[0], "source");
  const Bytes payload = TakeBytes(info[1], "payload");
  const size_t length = TakeInteger(info[2], "targetBytes", 0, kBufferBytesMax);
  const Bytes groups = TakeBytes(info[3], "groups");
  uint8_t* const into = TakeRoom(info[4], length, nullptr);
  sparse::Digested digested = TakeKind(info[5]);
  const size_t changed_max = TakeInteger(info[6], "changedMax", 0, kBufferBytesMax);
  try {
    const Status status =
        sparse::Patch(SpanOf(source), SpanOf(payload), into, length, SpanOf(groups), &digested, changed_max);
    if (status != Status::kOk) return env.Undefined();
  } catch (const std::bad_alloc&) {
    return env.Undefined();
  }
  return CopyToBuffer(env, digested.digest, sparse::DigestBytes(digested.kind));
}

}  // namespace

void RegisterSparse(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "sparseDiff", RunJob<SparseDiffJob>);
  Export(env, exports, "sparsePatch", RunJob<SparsePatchJob>);
  Export(env, exports, "sparseDiffSync", SparseDiffSync);
  Export(env, exports, "sparsePatchSync", SparsePatchSync);
  Export(env, exports, "groupDigest", RunJob<GroupDigestJob>);
}

}  // namespace dk
