// The method is a greedy cover. Every 8-byte string is worth the number of samples that it occurs in, less one. The
// samples are cut into as many epochs as there will be stretches; of each epoch the stretch that is worth most is
// taken and its strings are worth nothing from then on. Both engines do exactly this, with whole numbers only.
#include "dictionary/dictionary.h"

#include <algorithm>
#include <cstring>

namespace dk::dictionary {
namespace {

constexpr size_t kString = 8;
constexpr unsigned kTableBits = 20;
constexpr size_t kStretch = 128;

uint32_t SlotOf(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return static_cast<uint32_t>(word * 0x9e3779b97f4a7c15u >> (64 - kTableBits));
}

// In how many samples each slot occurs, less one.
std::vector<uint16_t> CountSamples(ByteSpan samples, const std::vector<uint32_t>& lengths) {
  std::vector<uint16_t> counts(size_t{1} << kTableBits);
  std::vector<uint32_t> last(size_t{1} << kTableBits);
  size_t start = 0;
  for (uint32_t sample = 1; sample <= lengths.size(); ++sample) {
    const size_t length = lengths[sample - 1];
    for (size_t i = 0; i + kString <= length; ++i) {
      const uint32_t slot = SlotOf(samples.data + start + i);
      if (last[slot] == sample) continue;
      if (last[slot] != 0 && counts[slot] < 0xffff) ++counts[slot];
      last[slot] = sample;
    }
    start += length;
  }
  return counts;
}

struct Stretch {
  size_t start;
  uint64_t worth;
};

// The window of kStretch bytes in [start, end) that is worth most.
Stretch BestStretch(ByteSpan samples, size_t start, size_t end, const std::vector<uint16_t>& worth) {
  const size_t strings = kStretch - kString + 1;
  Stretch best = {start, 0};
  uint64_t sum = 0;
  for (size_t i = start; i + kString <= end; ++i) {
    sum += worth[SlotOf(samples.data + i)];
    if (i >= start + strings) sum -= worth[SlotOf(samples.data + i - strings)];
    if (i + 1 >= start + strings && sum > best.worth) best = {i + 1 - strings, sum};
  }
  return best;
}

}  // namespace

std::vector<uint8_t> Train(ByteSpan samples, const std::vector<uint32_t>& lengths, size_t bytes_max,
                           const std::function<bool()>& stop) {
  std::vector<uint16_t> worth = CountSamples(samples, lengths);
  const size_t epochs = std::max<size_t>(1, std::min(bytes_max / kStretch, samples.length / (4 * kStretch)));
  std::vector<Stretch> taken;
  for (size_t epoch = 0; epoch < epochs; ++epoch) {
    if (stop && stop()) return {};
    const size_t start = samples.length * epoch / epochs;
    const Stretch best = BestStretch(samples, start, samples.length * (epoch + 1) / epochs, worth);
    if (best.worth == 0) continue;
    taken.push_back(best);
    for (size_t i = best.start; i + kString <= best.start + kStretch; ++i) worth[SlotOf(samples.data + i)] = 0;
  }
  std::stable_sort(taken.begin(), taken.end(), [](const Stretch& a, const Stretch& b) { return a.worth < b.worth; });
  std::vector<uint8_t> out;
  for (const Stretch& stretch : taken) {
    out.insert(out.end(), samples.data + stretch.start, samples.data + stretch.start + kStretch);
  }
  return out;
}

}  // namespace dk::dictionary
