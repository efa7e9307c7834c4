// startProgram, collectProgram.
#include <cerrno>

#include "binding/args.h"
#include "binding/register.h"
#include "common/errno_name.h"
#include "pages/program_start.h"

namespace dk {
namespace {

// As many as the kernel takes of any program, roughly; it refuses what is too much for it itself.
constexpr uint32_t kTextsMax = 1u << 21;
constexpr uint32_t kDescriptorsMax = 1u << 16;

Napi::Array TakeArray(Napi::Value value, const char* name, uint32_t count_max) {
  if (!value.IsArray()) ThrowType(value.Env(), std::string(name) + " must be an array");
  const Napi::Array array = value.As<Napi::Array>();
  if (array.Length() > count_max) ThrowRange(value.Env(), std::string(name) + " has too many entries");
  return array;
}

std::vector<std::string> TakeTexts(Napi::Value value, const char* name) {
  const Napi::Array array = TakeArray(value, name, kTextsMax);
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < array.Length(); ++i) texts.push_back(TakeString(array.Get(i), name));
  return texts;
}

// Gives the process id; undefined where only Node can do this. On the calling thread: a millisecond.
Napi::Value StartProgram(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object given = TakeObject(info[0], "program");
  pages::ProgramStart start;
  start.files = TakeTexts(given.Get("files"), "files");
  start.words = TakeTexts(given.Get("words"), "words");
  start.environment = TakeTexts(given.Get("environment"), "environment");
  start.pid_variable = TakeString(given.Get("pidVariable"), "pidVariable");
  start.directory = TakeString(given.Get("directory"), "directory");
  start.own_session = given.Get("ownSession").ToBoolean().Value();
  const Napi::Array descriptors = TakeArray(given.Get("descriptors"), "descriptors", kDescriptorsMax);
  for (uint32_t i = 0; i < descriptors.Length(); ++i) {
    start.descriptors.push_back(static_cast<int>(TakeInteger(descriptors.Get(i), "descriptor", 3, 0x7fffffff)));
  }
  pid_t pid = 0;
  const int status = pages::StartProgram(start, &pid);
  if (status == -ENOSYS) return env.Undefined();
  if (status != 0) throw MakeError(env, ErrnoName(-status), ErrnoName(-status));
  return Napi::Number::New(env, static_cast<double>(pid));
}

// Undefined while it runs, its exit code, the negative number of the signal that ended it, or null when nobody knows.
Napi::Value CollectProgram(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const pid_t pid = static_cast<pid_t>(TakeInteger(info[0], "pid", 1, 0x7fffffff));
  int number = 0;
  switch (pages::CollectProgram(pid, &number)) {
    case pages::ProgramState::kRuns:
      return env.Undefined();
    case pages::ProgramState::kExited:
      return Napi::Number::New(env, number);
    case pages::ProgramState::kKilled:
      return Napi::Number::New(env, -number);
    case pages::ProgramState::kUnknown:
      break;
  }
  return env.Null();
}

}  // namespace

void RegisterPrograms(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "startProgram", StartProgram);
  Export(env, exports, "collectProgram", CollectProgram);
}

}  // namespace dk
