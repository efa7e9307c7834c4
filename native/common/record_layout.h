// Where things stand in a record of a pack: docs/format.md, section 3.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dk {

constexpr uint32_t kRecordMagic = 0x31524b44;  // "DKR1"
constexpr size_t kRecordHeadBytes = 52;
// Of the digest, in the head.
constexpr size_t kRecordDigestAt = 20;
constexpr size_t kRecordCheckBytes = 8;
constexpr size_t kRecordMinBytes = kRecordHeadBytes + kRecordCheckBytes;

}  // namespace dk
