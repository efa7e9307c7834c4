// A bzip2 stream is a sequence of bits: a header, blocks that depend on nothing but their own bytes, and an end
// mark with a checksum made of the blocks' checksums. So each block is compressed alone, as a stream of its own,
// by whichever thread is free, and the blocks' bits are moved together:
//
//   'BZh9' | block | block | ... | end mark 48 bits | checksum 32 bits | zero bits up to a whole byte
#include <algorithm>
#include <atomic>
#include <cstring>

#include "bzip2/bzip2_face.h"
#include "bzip2/vendor/bzlib.h"
#include "common/thread_pool.h"

namespace dk::bzip2 {
namespace {

constexpr int kLevel = 9;
// The library closes a block when its run-coded bytes reach 899,981: staying below keeps each piece one block.
constexpr size_t kBlockCodedBytes = 899900;
constexpr uint64_t kEndMark = 0x177245385090;
constexpr size_t kHeaderBits = 32;
constexpr size_t kEndBits = 80;

// Length of the longest piece at `data` that one block holds. Runs of 4 to 255 equal bytes become five.
size_t BlockLength(const uint8_t* data, size_t length) {
  size_t coded = 0;
  size_t i = 0;
  while (i < length) {
    const uint8_t byte = data[i];
    const size_t limit = std::min(length, i + 255);
    size_t end = i + 1;
    while (end < limit && data[end] == byte) ++end;
    const size_t cost = end - i < 4 ? end - i : 5;
    if (coded + cost > kBlockCodedBytes) break;
    coded += cost;
    i = end;
  }
  return i;
}

uint64_t BitsAt(const std::vector<uint8_t>& bytes, size_t bit, unsigned count) {
  uint64_t value = 0;
  for (size_t i = bit; i < bit + count; ++i) value = value << 1 | (bytes[i / 8] >> (7 - i % 8) & 1);
  return value;
}

struct Block {
  const uint8_t* data;
  size_t length;
  std::vector<uint8_t> coded;  // a whole stream
  size_t end_bit = 0;          // where its end mark begins
  Status status = Status::kOk;

  uint32_t checksum() const { return static_cast<uint32_t>(BitsAt(coded, kHeaderBits + 48, 32)); }
};

// The end mark of a stream stands 80 to 87 bits before its last.
bool FindEnd(Block* block) {
  const size_t bits = block->coded.size() * 8;
  for (size_t pad = 0; pad < 8; ++pad) {
    const size_t at = bits - pad - kEndBits;
    if (BitsAt(block->coded, at, 48) != kEndMark) continue;
    if (BitsAt(block->coded, at + 48, 32) != block->checksum()) continue;
    block->end_bit = at;
    return true;
  }
  return false;
}

void CompressBlock(Block* block) {
  // The documented bound: 1 % and 600 bytes more.
  unsigned int room = static_cast<unsigned int>(block->length + block->length / 100 + 600);
  // Runs may reach far beyond what a block's bytes suggest, and then compress to nothing.
  room = std::min(room, static_cast<unsigned int>(kBlockCodedBytes + kBlockCodedBytes / 50 + 600));
  block->coded.resize(room);
  const int result = BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(block->coded.data()), &room,
                                              const_cast<char*>(reinterpret_cast<const char*>(block->data)),
                                              static_cast<unsigned int>(block->length), kLevel, 0, 0);
  if (result != BZ_OK) {
    block->status = Status::kMemory;
    return;
  }
  block->coded.resize(room);
  block->coded.shrink_to_fit();
  if (!FindEnd(block)) block->status = Status::kArgument;
}

class BitWriter {
 public:
  explicit BitWriter(std::vector<uint8_t>* out) : out_(out) {}

  void Put(uint64_t value, unsigned count) {
    while (count > 0) {
      const unsigned take = std::min(count, 8 - held_);
      bits_ = static_cast<uint8_t>(bits_ << take | (value >> (count - take) & ((1u << take) - 1)));
      held_ += take;
      count -= take;
      if (held_ == 8) {
        out_->push_back(bits_);
        held_ = 0;
      }
    }
  }
  void PutRange(const std::vector<uint8_t>& bytes, size_t from_bit, size_t to_bit) {
    size_t at = from_bit / 8;  // the header is whole bytes
    for (; (at + 1) * 8 <= to_bit; ++at) Put(bytes[at], 8);
    const unsigned rest = static_cast<unsigned>(to_bit - at * 8);
    if (rest > 0) Put(bytes[at] >> (8 - rest), rest);
  }
  void Close() {
    if (held_ > 0) Put(0, 8 - held_);
  }

 private:
  std::vector<uint8_t>* const out_;
  uint8_t bits_ = 0;
  unsigned held_ = 0;
};

}  // namespace

Status Compress(const uint8_t* data, size_t length, const std::function<bool()>& stop, std::vector<uint8_t>* out) {
  std::vector<Block> blocks;
  for (size_t at = 0; at < length;) {
    const size_t piece = BlockLength(data + at, length - at);
    blocks.push_back({data + at, piece, {}, 0, Status::kOk});
    at += piece;
  }
  ParallelFor(blocks.size(), [&](size_t i) {
    if (stop && stop())
      blocks[i].status = Status::kCancelled;
    else
      CompressBlock(&blocks[i]);
  });
  out->clear();
  BitWriter writer(out);
  for (const char c : {'B', 'Z', 'h', '9'}) writer.Put(static_cast<uint8_t>(c), 8);
  uint32_t checksum = 0;
  for (Block& block : blocks) {
    if (block.status != Status::kOk) return block.status;
    writer.PutRange(block.coded, kHeaderBits, block.end_bit);
    checksum = (checksum << 1 | checksum >> 31) ^ block.checksum();
    block.coded = {};
  }
  writer.Put(kEndMark, 48);
  writer.Put(checksum, 32);
  writer.Close();
  return Status::kOk;
}

}  // namespace dk::bzip2
