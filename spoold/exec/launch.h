// From a claim to a running child: script, output, environment, fork, exec.
#pragma once

#include "spoold/exec/arena.h"
#include "spoold/exec/record_file.h"
#include "spoold/exec/system.h"

namespace spool::exec {

/// What kept a job from running.
struct Failure {
    record::Step step = record::Step::none;
    int error = 0;
    explicit operator bool() const { return step != record::Step::none; }
};

/// Paths of the job in the spool, relative to the spool's directory.
bool script_path(const record::Claim& claim, char* out, std::size_t size);

class Launch {
public:
    /// `environment` overrides that of the record and must live until start().
    Launch(int spool, const RecordFile& record, Strings environment, Arena& arena)
        : spool_(spool), record_(record), environment_source_(environment), arena_(arena) {}

    /// Everything that can fail before the fork: script file, output files, arguments, environment.
    Failure prepare();
    /// Forks into the cgroup (-1: none) and returns the job's pid. A cgroup that refuses is set to
    /// -1.
    Failure start(int& cgroup, pid_t& pid);
    /// To be asked when the child has ended: whether, and why, it never became the job's program.
    Failure failure_of_child();

private:
    Failure write_script();
    Failure open_outputs();
    Fd open_log();
    Fd open_output(const char* path);
    Failure build_environment();
    bool build_arguments();
    bool divide(const char* command);
    [[noreturn]] void become_job();
    [[noreturn]] void give_up(record::Step step, int error);
    /// Executes the file at `path`; returns an errno.
    using Attempt = int (Launch::*)(char** arguments, const char* path);
    int search(char** arguments, Attempt attempt);
    int execute_program(char** arguments, const char* path);
    int execute_file(char** arguments, const char* path);

    int spool_;
    const RecordFile& record_;
    Strings environment_source_;
    Arena& arena_;
    Fd output_, error_output_, pipe_read_, pipe_write_;
    char** arguments_ = nullptr;  ///< the element before it is room for "/bin/sh"
    char** plain_ = nullptr;      ///< tried before: the words of a plain command
    char** environment_ = nullptr;
    const char* path_ = nullptr;  ///< the job's PATH
};

}  // namespace spool::exec
