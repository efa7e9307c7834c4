// The vendored AVX-512 assembly is older than the C files around it and lacks
// this one entry, which only extended output uses. The linker wants it all the same.
extern "C" {
#include "blake3/vendor/blake3_impl.h"

#if defined(IS_X86_64)
void blake3_xof_many_avx512(const uint32_t cv[8], const uint8_t block[BLAKE3_BLOCK_LEN], uint8_t block_len,
                            uint64_t counter, uint8_t flags, uint8_t* out, size_t outblocks) {
  for (size_t i = 0; i < outblocks; ++i) {
    blake3_compress_xof_avx512(cv, block, block_len, counter + i, flags, out + 64 * i);
  }
}
#endif
}
