// What each binding file adds to the addon. addon.cc calls them in turn.
#pragma once

#include <napi.h>

namespace dk {

void RegisterDigest(Napi::Env env, Napi::Object exports);
void RegisterDigestFile(Napi::Env env, Napi::Object exports);
void RegisterZstd(Napi::Env env, Napi::Object exports);
void RegisterXor(Napi::Env env, Napi::Object exports);
void RegisterBsdiff(Napi::Env env, Napi::Object exports);
void RegisterAlign(Napi::Env env, Napi::Object exports);
void RegisterTensor(Napi::Env env, Napi::Object exports);
void RegisterVcdiff(Napi::Env env, Napi::Object exports);
void RegisterChunk(Napi::Env env, Napi::Object exports);
void RegisterSketch(Napi::Env env, Napi::Object exports);
void RegisterSourceIndex(Napi::Env env, Napi::Object exports);
void RegisterBlobs(Napi::Env env, Napi::Object exports);
void RegisterBlobsDecode(Napi::Env env, Napi::Object exports);
void RegisterBlobsSlices(Napi::Env env, Napi::Object exports);
void RegisterSystem(Napi::Env env, Napi::Object exports);
void RegisterPrograms(Napi::Env env, Napi::Object exports);
void RegisterPages(Napi::Env env, Napi::Object exports);
void RegisterMemory(Napi::Env env, Napi::Object exports);
void RegisterSpareMemory(Napi::Env env, Napi::Object exports);
void RegisterSparse(Napi::Env env, Napi::Object exports);
void RegisterPageHashes(Napi::Env env, Napi::Object exports);
void RegisterGroupValues(Napi::Env env, Napi::Object exports);
void RegisterSockets(Napi::Env env, Napi::Object exports);
void RegisterDictionary(Napi::Env env, Napi::Object exports);
void RegisterPlace(Napi::Env env, Napi::Object exports);
void RegisterFileWriter(Napi::Env env, Napi::Object exports);
void RegisterRuns(Napi::Env env, Napi::Object exports);
void RegisterChainRead(Napi::Env env, Napi::Object exports);
void RegisterChainFollow(Napi::Env env, Napi::Object exports);
void RegisterChainDecode(Napi::Env env, Napi::Object exports);
void RegisterDenseRead(Napi::Env env, Napi::Object exports);

}  // namespace dk
