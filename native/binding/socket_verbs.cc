// socketFigures, tuneSocket, peerProcess: what the kernel knows about a connection, and what Node cannot set on it.
#include "binding/args.h"
#include "binding/register.h"
#include "net/socket_options.h"

namespace dk {
namespace {

constexpr uint64_t kSettingMax = 0x7fffffff;

Napi::Value SocketFigures(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  net::Figures figures;
  if (!net::ReadFigures(static_cast<int>(TakeInteger(info[0], "fd", 0, kSettingMax)), &figures)) return env.Undefined();
  const double columns[] = {figures.rtt_ms,       figures.min_rtt_ms,    figures.retransmits,
                            figures.segments,     figures.delivery_rate, figures.application_limited,
                            figures.window_bytes, figures.unsent_bytes,  figures.unacked_segments,
                            figures.acked_bytes};
  constexpr size_t kCount = sizeof columns / sizeof columns[0];
  Napi::Float64Array result = Napi::Float64Array::New(env, kCount);
  for (size_t i = 0; i < kCount; ++i) result[i] = columns[i];
  return result;
}

Napi::Value TuneSocket(const Napi::CallbackInfo& info) {
  const int fd = static_cast<int>(TakeInteger(info[0], "fd", 0, kSettingMax));
  net::Tuning tuning;
  tuning.congestion = TakeString(info[1], "congestion");
  tuning.unsent_bytes = static_cast<int>(TakeInteger(info[2], "unsentBytes", 0, kSettingMax));
  tuning.user_timeout_ms = static_cast<int>(TakeInteger(info[3], "userTimeoutMs", 0, kSettingMax));
  tuning.send_buffer_bytes = static_cast<int>(TakeInteger(info[4], "sendBufferBytes", 0, kSettingMax));
  tuning.receive_buffer_bytes = static_cast<int>(TakeInteger(info[5], "receiveBufferBytes", 0, kSettingMax));
  return Napi::Boolean::New(info.Env(), net::Tune(fd, tuning));
}

Napi::Value PeerProcess(const Napi::CallbackInfo& info) {
  const int fd = static_cast<int>(TakeInteger(info[0], "fd", 0, kSettingMax));
  return Napi::Number::New(info.Env(), static_cast<double>(net::PeerProcess(fd)));
}

}  // namespace

void RegisterSockets(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "socketFigures", SocketFigures);
  Export(env, exports, "tuneSocket", TuneSocket);
  Export(env, exports, "peerProcess", PeerProcess);
}

}  // namespace dk
