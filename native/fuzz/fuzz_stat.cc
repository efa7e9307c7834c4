// libFuzzer harness of the saved stat index. Mode even: the rest is the file. Odd: its checksum is put right first.
// What loads is saved and loaded again, and searched.
#include <string>

#include "fuzz/fuzz_input.h"
#include "pages/stat_table.h"
#include "xxhash/xxhash_face.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  dk::fuzz::Input input;
  if (!dk::fuzz::Parse(data, length, &input)) return 0;
  std::string file(input.rest.begin(), input.rest.end());
  if (input.mode % 2 == 1) {
    const uint64_t sum = dk::xxhash::Hash64(input.rest.data(), input.rest.size());
    for (int i = 0; i < 8; ++i) file.push_back(static_cast<char>(sum >> (8 * i)));
  }
  dk::pages::StatTable table;
  if (!table.Load(file)) {
    dk::fuzz::Check(table.count() == 0);
    return 0;
  }
  dk::pages::StatTable again;
  const std::string saved = table.Save();
  dk::fuzz::Check(again.Load(saved) && again.count() == table.count() && again.Save() == saved);
  const std::string path(input.source.begin(), input.source.end());
  const auto node = table.Find(path);
  if (node != dk::pages::StatTable::kNone && table.IsPresent(node)) table.RowAt(node);
  table.Remove(path);
  dk::fuzz::Check(table.Find(path) == dk::pages::StatTable::kNone || path.empty());
  return 0;
}
