// libFuzzer harness of groups of dense packs. Mode even: the rest is what a frame decoded to, the target length says
// how many records, the first four bytes of the source how long they are. Mode odd: the rest is a whole group, which
// gets the checksums that make it one.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "blake3/blake3_face.h"
#include "common/little.h"
#include "dense/dense_group.h"
#include "fuzz/fuzz_input.h"
#include "xxhash/xxhash_face.h"

namespace {

// Pieces of any size are those of the whole, and none is longer than it.
void CheckCopies(dk::dense::FoldedGroup* group) {
  const size_t length = static_cast<size_t>(group->bytes());
  std::vector<uint8_t> whole(length);
  std::vector<uint8_t> parts(length);
  group->Copy(0, whole.data(), length);
  for (size_t end = length; end > 0;) {
    const size_t part = std::min(end, 1 + length / 3);
    end -= part;
    group->Copy(end, parts.data() + end, part);
  }
  dk::fuzz::Check(whole == parts);
  uint8_t behind = 7;
  group->Copy(length, &behind, 1);
  dk::fuzz::Check(behind == 7);
}

// What was decoded by parts is what is decoded at once, where all of it can be.
void CheckParts(dk::ByteSpan bytes, const dk::dense::GroupPlace& place, dk::dense::FoldedGroup* whole) {
  const size_t length = static_cast<size_t>(place.bytes);
  const size_t part = std::max<size_t>(1, length / 7);
  for (size_t from = 0; from < length; from += 2 * part) {
    dk::dense::FoldedGroup group;
    const dk::dense::Stretch first{from, part};
    const bool opened = dk::dense::OpenGroup(bytes, place, dk::blake3::Hash, first, &group);
    if (whole != nullptr) dk::fuzz::Check(opened);
    if (!opened) continue;
    dk::fuzz::Check(group.Missing(first).empty());
    std::vector<uint8_t> got(length);
    group.Copy(from, got.data() + from, std::min(part, length - from));
    for (const dk::dense::Stretch& next : {dk::dense::Stretch{length / 2, part}, dk::dense::Stretch{0, length}}) {
      if (group.Missing(next).empty()) continue;
      dk::dense::Bodies bodies;
      if (!dk::dense::DecodeBodies(bytes, group.folded_bytes(), group.Missing(next), &bodies)) {
        dk::fuzz::Check(whole == nullptr);
        return;
      }
      group.Add(std::move(bodies));
      dk::fuzz::Check(group.Missing(next).empty());
    }
    std::vector<uint8_t> all(length);
    group.Copy(0, all.data(), length);
    dk::fuzz::Check(memcmp(all.data() + from, got.data() + from, std::min(part, length - from)) == 0);
    if (whole == nullptr) continue;
    whole->Copy(0, got.data(), length);
    dk::fuzz::Check(all == got);
  }
}

void Sign(std::vector<uint8_t>* group) {
  const size_t end = group->size() - 8;
  dk::PutLittle(group->data() + 32, dk::xxhash::Hash64(group->data(), 32), 8);
  dk::PutLittle(group->data() + end, dk::xxhash::Hash64(group->data(), end), 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  std::vector<uint8_t>& bytes = input.rest;
  dk::dense::FoldedGroup group;
  if (input.mode % 2 == 1) {
    if (bytes.size() < 48) return 0;
    Sign(&bytes);
    const dk::dense::GroupPlace place{dk::Little(bytes.data() + 16, 8), dk::Little(bytes.data() + 24, 8), {}};
    const dk::dense::Stretch everything{0, place.bytes};
    const bool whole = dk::dense::OpenGroup(dk::fuzz::SpanOf(bytes), place, dk::blake3::Hash, everything, &group);
    if (whole) CheckCopies(&group);
    // Longer ones would take too long many times over.
    if (place.bytes <= 1u << 20) CheckParts(dk::fuzz::SpanOf(bytes), place, whole ? &group : nullptr);
    return 0;
  }
  if (input.source.size() < 4) return 0;
  dk::dense::FoldedBytes folded{std::unique_ptr<uint8_t[]>(new uint8_t[bytes.size()]), bytes.size()};
  if (!bytes.empty()) memcpy(folded.data.get(), bytes.data(), bytes.size());
  const dk::dense::FoldFacts facts{input.target_length, dk::Little(input.source.data(), 4), dk::blake3::Hash};
  if (!group.Open({folded.data.get(), folded.length}, folded.length, facts)) return 0;
  group.Hold(std::move(folded));
  CheckCopies(&group);
  return 0;
}
