// What the libFuzzer harnesses share; no part of the addon. `npm run fuzz` builds and runs them.
//
// Input of all: mode u8, source length u16, target length u16 (little-endian), the source, the rest.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "common/byte_span.h"

namespace dk::fuzz {

struct Input {
  unsigned mode = 0;
  size_t target_length = 0;
  // In memory of their own, so that a step beyond them is seen.
  std::vector<uint8_t> source;
  std::vector<uint8_t> rest;
};

constexpr size_t kHeadBytes = 5;

inline bool Parse(const uint8_t* data, size_t length, Input* input) {
  if (length < kHeadBytes) return false;
  const size_t source_length = data[1] | data[2] << 8;
  if (source_length > length - kHeadBytes) return false;
  input->mode = data[0];
  input->target_length = data[3] | data[4] << 8;
  input->source.assign(data + kHeadBytes, data + kHeadBytes + source_length);
  input->rest.assign(data + kHeadBytes + source_length, data + length);
  return true;
}

inline ByteSpan SpanOf(const std::vector<uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

inline void Check(bool holds) {
  if (!holds) abort();
}

}  // namespace dk::fuzz
