// What an engine call came to. Engines never throw across their door and never
// print: the binding turns a status into an error with a code.
#pragma once

namespace dk {

enum class Status {
  kOk,
  kCorrupt,      // the bytes handed in do not decode
  kArgument,     // the caller broke the contract of the function
  kMemory,       // an allocation failed
  kCancelled,    // the environment is going away
  kUnsupported,  // sound as far as can be seen, but of a kind that is not read here
  kDeclined,     // more work than the caller allowed; nothing was made
};

}  // namespace dk
