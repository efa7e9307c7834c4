#include "planes/planes_coder.h"

#include <algorithm>
#include <cmath>

#include "common/varint.h"
#include "zstd/zstd_face.h"

namespace dk::planes {
namespace {

constexpr size_t kPieceBytes = 4;
constexpr size_t kPieceStep = 64;
constexpr size_t kCountedWhole = 4096;
constexpr size_t kSamplesMax = 8192;

constexpr size_t kKeptBytes = size_t{1} << 20;

// Above this entropy neither coder gains what it costs to run; the most careful effort tries a little longer.
constexpr double kNoiseBits = 7.85;
constexpr double kNoiseBitsMax = 7.97;
// From here on runs and repetitions probably matter, which only zstd proper sees.
constexpr double kSkewed = 0.8;

using Bytes = std::vector<uint8_t>;

// n log2(n) for all numbers of samples: the logarithms would take longer than the counting.
const double* Weights() {
  static const std::vector<double> table = [] {
    std::vector<double> values(kSamplesMax + 1);
    for (size_t n = 1; n < values.size(); ++n) values[n] = static_cast<double>(n) * std::log2(static_cast<double>(n));
    return values;
  }();
  return table.data();
}

// Room for an attempt, kept by its thread: clearing fresh memory would cost more than some attempts.
struct Attempt {
  Bytes room;
  size_t length = 0;  // 0: none was made

  void MakeRoom(size_t plane_length) {
    const size_t bound = zstd::Bound(plane_length);
    if (room.size() < bound) room.resize(bound);
  }
  void Release() {
    if (room.size() > kKeptBytes) Bytes().swap(room);
    length = 0;
  }
};

thread_local Attempt t_frame, t_literals;

Status Frame(ByteSpan plane, ByteSpan prefix, int level, Attempt* attempt) {
  zstd::Settings settings;
  settings.level = level;
  settings.context = prefix;
  attempt->MakeRoom(plane.length);
  return zstd::Compress(plane, settings, attempt->room.data(), attempt->room.size(), &attempt->length);
}

Status Literals(ByteSpan plane, Attempt* attempt) {
  attempt->MakeRoom(plane.length);
  return zstd::CompressLiterals(plane, attempt->room.data(), attempt->room.size(), &attempt->length);
}

// The shorter of what was made; the plane itself when nothing is shorter than it.
void Put(ByteSpan plane, Bytes* out) {
  const bool literals = t_literals.length > 0 && (t_frame.length == 0 || t_literals.length < t_frame.length);
  const Attempt& best = literals ? t_literals : t_frame;
  const bool raw = best.length == 0 || best.length >= plane.length;
  PutVarint(out, raw ? 0 : best.length);
  const uint8_t* bytes = raw ? plane.data : best.room.data();
  out->insert(out->end(), bytes, bytes + (raw ? plane.length : best.length));
  t_frame.Release();
  t_literals.Release();
}

}  // namespace

PlaneFacts LookAt(ByteSpan plane) {
  // Four tables: equal bytes in a row would wait for each other's count.
  uint32_t counts[4][256] = {};
  const size_t spread = plane.length / kSamplesMax * kPieceBytes + kPieceBytes;
  const size_t step = plane.length > kCountedWhole ? std::max(kPieceStep, spread) : kPieceBytes;
  size_t samples = 0;
  for (size_t i = 0; i + kPieceBytes <= plane.length; i += step) {
    for (size_t k = 0; k < kPieceBytes; ++k) ++counts[k][plane.data[i + k]];
    samples += kPieceBytes;
  }
  if (samples == 0) return {8, 0};
  const double* weights = Weights();
  double bits = weights[samples];
  uint32_t most = 0;
  for (size_t value = 0; value < 256; ++value) {
    const uint32_t count = counts[0][value] + counts[1][value] + counts[2][value] + counts[3][value];
    if (count == 0) continue;
    most = count > most ? count : most;
    bits -= weights[count];
  }
  return {bits / static_cast<double>(samples), static_cast<double>(most) / static_cast<double>(samples)};
}

Status PutPlane(ByteSpan plane, ByteSpan prefix, Effort effort, Bytes* out) {
  t_frame.length = t_literals.length = 0;
  Status status = Status::kOk;
  if (prefix.length > 0) {
    status = Frame(plane, prefix, effort == Effort::kMax ? 19 : 3, &t_frame);
    if (status == Status::kOk) Put(plane, out);
    return status;
  }
  const PlaneFacts facts = LookAt(plane);
  if (facts.bits_per_byte <= (effort == Effort::kMax ? kNoiseBitsMax : kNoiseBits)) {
    const bool skewed = facts.commonest > kSkewed;
    const bool both = effort != Effort::kFast;
    if (skewed || both) status = Frame(plane, {}, effort == Effort::kMax ? 5 : both ? 3 : 1, &t_frame);
    if (status == Status::kOk && (!skewed || both)) status = Literals(plane, &t_literals);
  }
  if (status == Status::kOk) Put(plane, out);
  return status;
}

}  // namespace dk::planes
