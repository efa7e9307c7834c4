// A long, slow, lossy line between two network namespaces: a TUN device in each, and packets carried from one to the
// other at a rate, with a delay, through a queue of bounded length, some of them lost. For machines without netem.
//
//   wan-shaper NAMESPACE_A NAMESPACE_B MBIT_PER_SECOND DELAY_MS LOSS_PERCENT SEED
//
// Delay and loss are for each direction: the round trip takes twice the delay; only packets from A to B are lost.
// Prints "ready" when both devices are there, and ends at SIGTERM.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kPacketBytes = 65536;
constexpr int kBatch = 64;
constexpr int64_t kIdleNs = 50'000'000;
// Shorter waits are not worth a switch: packets leave in small groups instead.
constexpr int64_t kStepNs = 200'000;

std::atomic<bool> stopping{false};

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void Die(const std::string& what) {
  perror(what.c_str());
  exit(1);
}

// Opens a TUN device inside a namespace, and comes back.
int OpenDevice(const std::string& name) {
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = open(("/var/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC);
  if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0) Die("enter namespace " + name);
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, "wan0", IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (device < 0 || ioctl(device, TUNSETIFF, &request) != 0) Die("open a TUN device");
  if (setns(home, CLONE_NEWNET) != 0) Die("leave namespace " + name);
  close(home);
  close(there);
  return device;
}

struct Line {
  int from;
  int to;
  double bytes_per_ns;
  int64_t delay_ns;
  double loss;
  // Bytes that wait for their turn at most: one round trip's worth, as a router would have.
  double queue_bytes;
  uint64_t seed;
};

struct Packet {
  int64_t due_ns;
  std::vector<char> bytes;
};

// Carries packets one way until the program is told to stop.
void Carry(const Line& line) {
  std::mt19937_64 random(line.seed);
  std::uniform_real_distribution<double> share(0, 1);
  std::deque<Packet> waiting;
  std::vector<char> packet(kPacketBytes);
  int64_t free_ns = 0;  // when the line has sent everything it was given
  while (!stopping) {
    const int64_t wait_ns = waiting.empty() ? kIdleNs : std::max(waiting.front().due_ns - NowNs(), kStepNs);
    const timespec timeout = {0, static_cast<long>(std::min(wait_ns, kIdleNs))};
    pollfd entry = {line.from, POLLIN, 0};
    ppoll(&entry, 1, &timeout, nullptr);
    for (int i = 0; i < kBatch; ++i) {
      const ssize_t length = read(line.from, packet.data(), packet.size());
      if (length <= 0) break;
      if (line.loss > 0 && share(random) < line.loss) continue;
      const int64_t now = NowNs();
      free_ns = std::max(free_ns, now);
      if (static_cast<double>(free_ns - now) * line.bytes_per_ns > line.queue_bytes) continue;
      free_ns += static_cast<int64_t>(static_cast<double>(length) / line.bytes_per_ns);
      waiting.push_back({free_ns + line.delay_ns, {packet.begin(), packet.begin() + length}});
    }
    const int64_t now = NowNs();
    while (!waiting.empty() && waiting.front().due_ns <= now) {
      const std::vector<char>& bytes = waiting.front().bytes;
      if (write(line.to, bytes.data(), bytes.size()) < 0 && errno == EBADF) return;
      waiting.pop_front();
    }
  }
}

}  // namespace

int main(int count, char** words) {
  if (count != 7) {
    fprintf(stderr, "usage: wan-shaper NAMESPACE_A NAMESPACE_B MBIT DELAY_MS LOSS_PERCENT SEED\n");
    return 2;
  }
  const double bytes_per_ns = atof(words[3]) * 1e6 / 8 / 1e9;
  const int64_t delay_ns = static_cast<int64_t>(atof(words[4]) * 1e6);
  const double queue_bytes = bytes_per_ns * static_cast<double>(std::max<int64_t>(2 * delay_ns, 20'000'000));
  const uint64_t seed = strtoull(words[6], nullptr, 10);
  const int a = OpenDevice(words[1]);
  const int b = OpenDevice(words[2]);
  signal(SIGTERM, [](int) { stopping = true; });
  std::thread there(Carry, Line{a, b, bytes_per_ns, delay_ns, atof(words[5]) / 100, queue_bytes, seed});
  std::thread back(Carry, Line{b, a, bytes_per_ns, delay_ns, 0, queue_bytes, seed + 1});
  printf("ready\n");
  fflush(stdout);
  there.join();
  back.join();
  return 0;
}
