// The six functions are declared here and not included from OpenSSL: header
// sets for Node-API addons do not carry its headers, and these signatures are
// the same in every OpenSSL since 1.1.0. Node resolves them at load time.
#include "sha256/sha256_face.h"

#include <cstdlib>
#include <new>

extern "C" {
struct evp_md_st;
struct engine_st;
evp_md_ctx_st* EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(evp_md_ctx_st* context);
const evp_md_st* EVP_sha256(void);
int EVP_DigestInit_ex(evp_md_ctx_st* context, const evp_md_st* type, engine_st* engine);
int EVP_DigestUpdate(evp_md_ctx_st* context, const void* data, size_t length);
int EVP_DigestFinal_ex(evp_md_ctx_st* context, unsigned char* out, unsigned int* length);
}

namespace dk::sha256 {

// A failing digest would end as a wrong name for somebody's data: there is nothing to go on with.
static void Check(int good) {
  if (good != 1) abort();
}

Hasher::Hasher() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr) throw std::bad_alloc();
  Reset();
}

Hasher::~Hasher() { EVP_MD_CTX_free(context_); }

void Hasher::Reset() { Check(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr)); }

void Hasher::Update(const uint8_t* data, size_t length) {
  if (length > 0) Check(EVP_DigestUpdate(context_, data, length));
}

void Hasher::Finish(uint8_t out[kDigestBytes]) { Check(EVP_DigestFinal_ex(context_, out, nullptr)); }

void Hash(const uint8_t* data, size_t length, uint8_t out[kDigestBytes]) {
  // Making a context costs more than hashing a small input, so each thread keeps one.
  thread_local Hasher hasher;
  hasher.Reset();
  hasher.Update(data, length);
  hasher.Finish(out);
}

}  // namespace dk::sha256
