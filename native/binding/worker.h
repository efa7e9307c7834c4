// Base of every asynchronous job, and the channel on which jobs come home.
//
//   JS thread    Worker(env), Keep(...)        take the arguments
//                Queue()                       -> promise; the worker now owns itself
//   pool thread  Execute()                     no Node-API here; Fail() or throw to reject
//   JS thread    Resolve(env)                  makes the result (may throw Napi::Error)
//                Finish(env)                   always, after Resolve or a failure
//                destructor
//
// A quick job does all of this before Queue() returns.
//
// When an environment ends (a worker thread is terminated, the process exits),
// jobs that have not begun are dropped, running ones see Cancelled() and are
// waited for, since they read memory that the environment owns. Their promises
// never settle and neither Resolve nor Finish runs; the destructor does, on the
// JS thread, so it must release everything that is not memory of Node.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/status.h"

namespace dk {

class Worker;

// One per environment. Kept as the environment's instance data.
class JobChannel : public std::enable_shared_from_this<JobChannel> {
 public:
  // Call once, from the addon's Init.
  static void Open(Napi::Env env);
  static std::shared_ptr<JobChannel> Of(Napi::Env env);

  bool closing() const { return closing_.load(std::memory_order_relaxed); }

 private:
  friend class Worker;
  static void OnCompleted(napi_env env, napi_value callback, void* context, void* data);
  static void OnCleanup(void* held);
  void Start(Napi::Env env, Worker* worker);
  void RunOnPool(Worker* worker);
  void Close();

  std::atomic<bool> closing_{false};
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t running_ = 0;                   // guarded by mutex_
  std::vector<Worker*> completed_;       // guarded by mutex_
  std::unordered_set<Worker*> pending_;  // JS thread only: everything not settled
  napi_threadsafe_function notify_ = nullptr;
};

class Worker {
 public:
  explicit Worker(Napi::Env env) : env_(env) {}
  virtual ~Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Starts the job. The worker deletes itself; do not touch it afterwards. Call on a `new`ed worker only.
  Napi::Promise Queue();

  // Keeps a value (for example a typed array whose bytes are read) alive until the job has ended.
  void Keep(Napi::Value value);

 protected:
  // Pool thread, but for a quick job. Exceptions become rejections, std::bad_alloc with code DK_LIMIT.
  virtual void Execute() = 0;
  // Whether the job takes no longer than a way to the pool and back, which is two turns between threads: 20 us, and
  // several times that where others want the processors. Then Execute runs on the JS thread. Asked once, by Queue.
  virtual bool IsQuick() const { return false; }
  // Whether the job mostly waits for the disk: it begins at once then, however much others have to do. Asked once.
  virtual bool WaitsForDisk() const { return false; }
  virtual Napi::Value Resolve(Napi::Env env) = 0;
  virtual void Finish(Napi::Env) {}

  // From Execute: the promise will be rejected with an Error with this `code`. The first failure counts.
  void Fail(const char* code, std::string message);
  // Fail with the name of an errno value as code.
  void FailErrno(int error, const std::string& action);
  // Fail unless the status is good; returns whether it was.
  bool Accept(Status status, const char* what);

  // Poll in long loops (about every 10 ms of work) and return early: the result goes nowhere.
  bool Cancelled() const { return channel_->closing(); }

 private:
  friend class JobChannel;
  void RunExecute();
  void Settle(Napi::Env env);

  Napi::Env env_;
  napi_deferred deferred_ = nullptr;
  std::shared_ptr<JobChannel> channel_;
  std::vector<Napi::ObjectReference> kept_;
  std::string code_;
  std::string message_;
};

// Body of an exported function: constructs the job from the call's arguments and starts it.
template <typename Job>
Napi::Value RunJob(const Napi::CallbackInfo& info) {
  auto job = std::make_unique<Job>(info);
  return job.release()->Queue();
}

// Plain Error with a `code`. `type` 'T' makes a TypeError, 'R' a RangeError.
Napi::Error MakeError(Napi::Env env, const std::string& code, const std::string& message, char type = 'E');

}  // namespace dk
