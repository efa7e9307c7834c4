// SHA-256 by the OpenSSL that every Node binary carries and exports.
#pragma once

#include <cstddef>
#include <cstdint>

struct evp_md_ctx_st;

namespace dk::sha256 {

constexpr size_t kDigestBytes = 32;

// Digest on the calling thread.
void Hash(const uint8_t* data, size_t length, uint8_t out[kDigestBytes]);

// Incremental hashing. Not for several threads at once. Throws std::bad_alloc from the constructor.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Reset();
  void Update(const uint8_t* data, size_t length);
  // Ends the message; Reset() before the next one.
  void Finish(uint8_t out[kDigestBytes]);

 private:
  evp_md_ctx_st* context_;
};

}  // namespace dk::sha256
