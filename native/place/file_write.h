// Writing one large file: past the page cache where asked, and hashed on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "pages/content_digest.h"

namespace dk {
namespace place {

// Memory and file positions of writes past the page cache are multiples of this.
constexpr size_t kDirectUnit = 4096;

// Writes all of it; 0 or a negative errno. With `*direct` as much as possible goes past the page cache; afterwards
// `*direct` says whether any did: file systems may refuse, and memory or positions may not fit.
int WriteAt(int fd, const uint8_t* data, size_t length, uint64_t position, bool* direct);

// Digest of a file whose bytes come in ascending order; what is left out counts as zeros.
class RunningContent {
 public:
  explicit RunningContent(pages::DigestAlgo algo);
  ~RunningContent();

  // End of what was added.
  uint64_t end() const { return end_; }
  // `position` must not lie before the end.
  void Add(uint64_t position, const uint8_t* data, size_t length);
  // Digest of the first `size` bytes, which must not be fewer than were added. Once.
  void Finish(uint64_t size, uint8_t out[pages::kDigestBytes]);

 private:
  void Update(const uint8_t* data, size_t length);
  void Zeros(uint64_t until);

  struct State;
  const std::unique_ptr<State> state_;
  uint64_t end_ = 0;
};

}  // namespace place
}  // namespace dk
