// What the kernel knows about a TCP connection, and the settings that Node has no call for. Linux only: elsewhere there
// are no figures and nothing is set.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace dk::net {

struct Figures {
  double rtt_ms = 0;
  double min_rtt_ms = 0;
  double retransmits = 0;
  double segments = 0;
  double delivery_rate = 0;
  double application_limited = 0;
  double window_bytes = 0;
  double unsent_bytes = 0;
  double unacked_segments = 0;
  double acked_bytes = 0;
};

// Process at the other end of a UNIX socket, as it was when it connected; 0 where nobody can tell, or it is in another
// namespace.
pid_t PeerProcess(int fd);

// False where there are no figures: not a TCP socket, not connected, another system.
bool ReadFigures(int fd, Figures* figures);

// An empty name and zeros leave the setting as it is.
struct Tuning {
  std::string congestion;
  int unsent_bytes = 0;
  int user_timeout_ms = 0;
  int send_buffer_bytes = 0;
  int receive_buffer_bytes = 0;
};

// False when the system refused something; the rest is set nevertheless.
bool Tune(int fd, const Tuning& tuning);

}  // namespace dk::net
