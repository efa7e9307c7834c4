#include "binding/worker.h"

#include <exception>
#include <new>
#include <utility>

#include "common/errno_name.h"
#include "common/thread_pool.h"

namespace dk {
namespace {

// Held by the environment through its instance data.
struct Instance {
  std::shared_ptr<JobChannel> channel;
};

}  // namespace

Napi::Error MakeError(Napi::Env env, const std::string& code, const std::string& message, char type) {
  Napi::Error error = type == 'T'   ? Napi::Error(Napi::TypeError::New(env, message))
                      : type == 'R' ? Napi::Error(Napi::RangeError::New(env, message))
                                    : Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

void JobChannel::Open(Napi::Env env) {
  auto channel = std::make_shared<JobChannel>();
  const napi_status made =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "diffkeeper"), 0, 1, nullptr,
                                      nullptr, channel.get(), OnCompleted, &channel->notify_);
  if (made != napi_ok) throw Napi::Error::New(env, "cannot create the completion channel");
  // Idle, the channel must not keep the process alive.
  napi_unref_threadsafe_function(env, channel->notify_);
  env.SetInstanceData(new Instance{channel});
  // Hooks run in reverse order: ours comes before the channel's own, so that nothing calls into a dead function.
  napi_add_env_cleanup_hook(env, OnCleanup, new std::shared_ptr<JobChannel>(channel));
}

std::shared_ptr<JobChannel> JobChannel::Of(Napi::Env env) { return env.GetInstanceData<Instance>()->channel; }

void JobChannel::OnCleanup(void* held) {
  auto* channel = static_cast<std::shared_ptr<JobChannel>*>(held);
  (*channel)->Close();
  delete channel;
}

void JobChannel::Close() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    closing_.store(true);
    idle_.wait(lock, [this] { return running_ == 0; });
    completed_.clear();
  }
  // Nobody notifies any more: the flag is read under the mutex before each call.
  napi_release_threadsafe_function(notify_, napi_tsfn_abort);
  for (Worker* worker : pending_) delete worker;
  pending_.clear();
}

void JobChannel::Start(Napi::Env env, Worker* worker) {
  if (pending_.empty()) napi_ref_threadsafe_function(env, notify_);
  pending_.insert(worker);
  const auto submit = worker->WaitsForDisk() ? PoolSubmitWaiting : PoolSubmit;
  submit([channel = shared_from_this(), worker] { channel->RunOnPool(worker); });
}

void JobChannel::RunOnPool(Worker* worker) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // Once closing, the worker may be deleted already.
    if (closing()) return;
    ++running_;
  }
  worker->RunExecute();
  std::lock_guard<std::mutex> lock(mutex_);
  --running_;
  if (closing()) {
    idle_.notify_all();
    return;
  }
  completed_.push_back(worker);
  // One call is enough for all that gather until the JS thread takes them.
  if (completed_.size() == 1) {
    napi_call_threadsafe_function(notify_, nullptr, napi_tsfn_nonblocking);
  }
}

void JobChannel::OnCompleted(napi_env raw_env, napi_value, void* context, void*) {
  if (raw_env == nullptr) return;  // The environment is ending: Close() has taken or will take the workers.
  auto* channel = static_cast<JobChannel*>(context);
  std::vector<Worker*> completed;
  {
    std::lock_guard<std::mutex> lock(channel->mutex_);
    completed.swap(channel->completed_);
  }
  Napi::Env env(raw_env);
  for (Worker* worker : completed) {
    Napi::HandleScope scope(env);
    channel->pending_.erase(worker);
    try {
      worker->Settle(env);
    } catch (const Napi::Error&) {
      // The environment refuses to run more script (it is being terminated).
    }
    delete worker;
  }
  if (channel->pending_.empty()) napi_unref_threadsafe_function(env, channel->notify_);
}

Napi::Promise Worker::Queue() {
  napi_value promise;
  if (napi_create_promise(env_, &deferred_, &promise) != napi_ok) {
    const Napi::Env env = env_;
    delete this;
    throw Napi::Error::New(env, "cannot create a promise");
  }
  const Napi::Env env = env_;
  channel_ = JobChannel::Of(env);
  if (IsQuick()) {
    const std::unique_ptr<Worker> own(this);
    RunExecute();
    Settle(env);
  } else {
    channel_->Start(env, this);
  }
  return Napi::Promise(env, promise);
}

void Worker::Keep(Napi::Value value) { kept_.push_back(Napi::Persistent(value.As<Napi::Object>())); }

void Worker::Fail(const char* code, std::string message) {
  if (!code_.empty()) return;
  code_ = code;
  message_ = std::move(message);
}

void Worker::FailErrno(int error, const std::string& action) {
  Fail(ErrnoName(error), std::string(ErrnoName(error)) + ": cannot " + action);
}

bool Worker::Accept(Status status, const char* what) {
  switch (status) {
    case Status::kOk:
      return true;
    case Status::kCorrupt:
      Fail("DK_CORRUPT_DELTA", std::string(what) + ": the bytes do not decode");
      return false;
    case Status::kArgument:
      Fail("DK_ARGUMENT", std::string(what) + ": wrong argument");
      return false;
    case Status::kMemory:
      Fail("DK_LIMIT", std::string(what) + ": out of memory");
      return false;
    case Status::kUnsupported:
      Fail("DK_UNSUPPORTED", std::string(what) + ": the bytes are of a kind that is not supported");
      return false;
    default:
      Fail("DK_ABORTED", std::string(what) + ": cancelled");
      return false;
  }
}

void Worker::RunExecute() {
  try {
    Execute();
  } catch (const std::bad_alloc&) {
    Fail("DK_LIMIT", "out of memory");
  } catch (const std::exception& error) {
    Fail("DK_IO", error.what());
  }
}

void Worker::Settle(Napi::Env env) {
  if (code_.empty()) {
    try {
      napi_resolve_deferred(env, deferred_, Resolve(env));
    } catch (const Napi::Error& error) {
      napi_reject_deferred(env, deferred_, error.Value());
    } catch (const std::bad_alloc&) {
      napi_reject_deferred(env, deferred_, MakeError(env, "DK_LIMIT", "no memory for the result").Value());
    }
  } else {
    napi_reject_deferred(env, deferred_, MakeError(env, code_, message_).Value());
  }
  Finish(env);
}

}  // namespace dk
