// Table of contents of the addon: every function is registered by the file that implements it.
#include <napi.h>

#include "binding/register.h"
#include "binding/worker.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  dk::JobChannel::Open(env);
  dk::RegisterDigest(env, exports);
  dk::RegisterDigestFile(env, exports);
  dk::RegisterZstd(env, exports);
  dk::RegisterXor(env, exports);
  dk::RegisterBsdiff(env, exports);
  dk::RegisterAlign(env, exports);
  dk::RegisterTensor(env, exports);
  dk::RegisterVcdiff(env, exports);
  dk::RegisterChunk(env, exports);
  dk::RegisterSketch(env, exports);
  dk::RegisterSourceIndex(env, exports);
  dk::RegisterBlobs(env, exports);
  dk::RegisterBlobsDecode(env, exports);
  dk::RegisterBlobsSlices(env, exports);
  dk::RegisterSystem(env, exports);
  dk::RegisterPrograms(env, exports);
  dk::RegisterPages(env, exports);
  dk::RegisterSparse(env, exports);
  dk::RegisterSpareMemory(env, exports);
  dk::RegisterMemory(env, exports);
  dk::RegisterPageHashes(env, exports);
  dk::RegisterGroupValues(env, exports);
  dk::RegisterSockets(env, exports);
  dk::RegisterDictionary(env, exports);
  dk::RegisterPlace(env, exports);
  dk::RegisterRuns(env, exports);
  dk::RegisterChainRead(env, exports);
  dk::RegisterChainFollow(env, exports);
  dk::RegisterChainDecode(env, exports);
  dk::RegisterDenseRead(env, exports);
  dk::RegisterFileWriter(env, exports);
  return exports;
}

NODE_API_MODULE(diffkeeper, Init)
