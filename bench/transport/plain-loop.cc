// A file over one plain TCP connection, as a program of a page does it: read and send at one end, receive and write at
// the other, synced in the end. Nothing is checked, nothing can go on after a cut. What `diffkeeper send` is compared
// with.
//
//   plain-loop receive FILE       prints the port that it listens on, takes one connection
//   plain-loop send FILE PORT     ends once the other side has the file on its disk
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr size_t kPieceBytes = 1 << 20;

int Check(int result, const char* what) {
  if (result < 0) {
    std::perror(what);
    std::exit(1);
  }
  return result;
}

void WriteAll(int fd, const char* data, size_t length) {
  while (length > 0) {
    const ssize_t put = write(fd, data, length);
    if (put < 0) Check(-1, "write");
    data += put;
    length -= static_cast<size_t>(put);
  }
}

void Copy(int from, int to) {
  std::vector<char> piece(kPieceBytes);
  for (;;) {
    const ssize_t got = read(from, piece.data(), piece.size());
    if (got < 0) Check(-1, "read");
    if (got == 0) return;
    WriteAll(to, piece.data(), static_cast<size_t>(got));
  }
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int Receive(const char* path) {
  const int listener = Check(socket(AF_INET, SOCK_STREAM, 0), "socket");
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  Check(bind(listener, reinterpret_cast<sockaddr*>(&address), length), "bind");
  Check(listen(listener, 1), "listen");
  Check(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  const int from = Check(accept(listener, nullptr, nullptr), "accept");
  const int to = Check(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), "open");
  Copy(from, to);
  Check(fsync(to), "fsync");
  WriteAll(from, "+", 1);
  return 0;
}

int Send(const char* path, int port) {
  const int from = Check(open(path, O_RDONLY), "open");
  const int to = Check(socket(AF_INET, SOCK_STREAM, 0), "socket");
  const sockaddr_in address = Loopback(port);
  Check(connect(to, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  Copy(from, to);
  Check(shutdown(to, SHUT_WR), "shutdown");
  char answer = 0;
  return Check(static_cast<int>(read(to, &answer, 1)), "read") == 1 && answer == '+' ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  if (count == 3 && std::strcmp(words[1], "receive") == 0) return Receive(words[2]);
  if (count == 4 && std::strcmp(words[1], "send") == 0) return Send(words[2], std::atoi(words[3]));
  std::fputs("usage: plain-loop receive FILE | send FILE PORT\n", stderr);
  return 2;
}
