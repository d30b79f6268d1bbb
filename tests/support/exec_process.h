// spool-exec as a child of the test.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/record_builder.h"

namespace spool::test {

/// Starts a program with /dev/null as its input; `descriptor3`, if any, becomes its descriptor 3.
pid_t start_program(const std::vector<std::string>& arguments, int descriptor3 = -1);
/// Waits for a child for up to `seconds`; its exit code, 256 + signal, or -1 if it still runs (it
/// is then killed).
int wait_for_program(pid_t pid, int seconds = 60);

/// Asks again until it is so, for up to `seconds`.
bool wait_until(const std::function<bool()>& condition, int seconds = 30);

/// Processes that have this record's token in their environment, the supervisor not among them.
std::vector<pid_t> processes_of(const RecordBuilder& record);

/// spool-exec --record for this record.
pid_t start_supervisor(const std::string& program, const RecordBuilder& record,
                       const std::vector<std::string>& more = {});

/// spool-exec --zygote and the daemon's end of its socket.
class Zygote {
public:
    Zygote(const std::string& program, const std::string& spool,
           const std::vector<std::string>& more = {});
    ~Zygote();
    Zygote(const Zygote&) = delete;
    Zygote& operator=(const Zygote&) = delete;

    void send(const RecordBuilder& record, const std::string& gpus = {},
              const std::vector<std::string>& environment = {}, int descriptor = -1);
    record::StartReply receive();
    record::StartReply start(const RecordBuilder& record, const std::string& gpus = {},
                             const std::vector<std::string>& environment = {});
    /// Closes the socket and waits for the zygote's end; its exit code.
    int close();
    pid_t pid() const { return pid_; }
    int socket() const { return socket_; }

private:
    int socket_ = -1;
    pid_t pid_ = -1;
};

}  // namespace spool::test
