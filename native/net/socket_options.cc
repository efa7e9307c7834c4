#include "net/socket_options.h"

#if defined(__linux__)
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#endif

#include <cstddef>
#include <cstring>

namespace dk::net {

#if defined(__linux__)

namespace {

// The part of the kernel's struct tcp_info that is used. The C library's own copy ends before the later fields; the
// kernel only ever appends, and says how much of it was filled in.
struct KernelInfo {
  uint8_t state, ca_state, retransmits, probes, backoff, options, scales, flags;
  uint32_t rto, ato, snd_mss, rcv_mss;
  uint32_t unacked, sacked, lost, retrans, fackets;
  uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
  uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
  uint32_t rcv_rtt, rcv_space, total_retrans;
  uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
  uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
  uint64_t delivery_rate;
};
static_assert(offsetof(KernelInfo, pacing_rate) == 104, "layout of the kernel's tcp_info");
static_assert(offsetof(KernelInfo, delivery_rate) == 160, "layout of the kernel's tcp_info");

constexpr uint8_t kApplicationLimited = 1;
constexpr uint32_t kNever = 0xffffffff;

bool SetNumber(int fd, int level, int name, int value) {
  return value == 0 || setsockopt(fd, level, name, &value, sizeof value) == 0;
}

}  // namespace

pid_t PeerProcess(int fd) {
  ucred peer = {};
  socklen_t length = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : 0;
}

bool ReadFigures(int fd, Figures* figures) {
  KernelInfo info;
  memset(&info, 0, sizeof info);
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 || length < offsetof(KernelInfo, pacing_rate)) {
    return false;
  }
  figures->rtt_ms = info.rtt / 1000.0;
  figures->min_rtt_ms = (info.min_rtt == 0 || info.min_rtt == kNever ? info.rtt : info.min_rtt) / 1000.0;
  figures->retransmits = info.total_retrans;
  figures->segments = info.data_segs_out;
  figures->delivery_rate = static_cast<double>(info.delivery_rate);
  figures->application_limited = info.flags & kApplicationLimited;
  figures->window_bytes = static_cast<double>(info.snd_cwnd) * info.snd_mss;
  figures->unsent_bytes = info.notsent_bytes;
  figures->unacked_segments = info.unacked;
  figures->acked_bytes = static_cast<double>(info.bytes_acked);
  return true;
}

bool Tune(int fd, const Tuning& tuning) {
  bool done = true;
  if (!tuning.congestion.empty()) {
    done = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, tuning.congestion.data(),
                      static_cast<socklen_t>(tuning.congestion.size())) == 0;
  }
  done = SetNumber(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, tuning.unsent_bytes) && done;
  done = SetNumber(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, tuning.user_timeout_ms) && done;
  done = SetNumber(fd, SOL_SOCKET, SO_SNDBUF, tuning.send_buffer_bytes) && done;
  return SetNumber(fd, SOL_SOCKET, SO_RCVBUF, tuning.receive_buffer_bytes) && done;
}

#else

pid_t PeerProcess(int) { return 0; }
bool ReadFigures(int, Figures*) { return false; }
bool Tune(int, const Tuning&) { return false; }

#endif

}  // namespace dk::net
