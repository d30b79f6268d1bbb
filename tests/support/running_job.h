// A job under way, supervised by a spool-exec that is a child of the test.
#pragma once

#include <sys/types.h>

#include <QTemporaryDir>
#include <csignal>
#include <string>
#include <utility>

#include "tests/support/exec_process.h"
#include "tests/support/record_builder.h"

namespace spool::test {

/// A job under way, and its supervisor, which is the test's own child.
class RunningJob {
public:
    explicit RunningJob(const Job& job) : builder_(directory_.path().toStdString() + "/spool") {
        builder_.write(job);
        supervisor_ = start_supervisor(SPOOL_EXEC, builder_);
    }
    ~RunningJob() {
        if (supervisor_ > 0) wait_for_program(supervisor_, 0);
    }
    RunningJob(const RunningJob&) = delete;
    RunningJob& operator=(const RunningJob&) = delete;

    /// Waits until the job has written this line to its log.
    bool says(const std::string& line) const {
        return wait_until([&] { return log().find(line + "\n") != std::string::npos; });
    }
    std::string log() const { return read_text(builder_.log()); }
    void signal(int number) const { kill(supervisor_, number); }
    void mark_cancelled() { builder_.write_cancel(); }
    void cancel() {
        mark_cancelled();
        signal(SIGRTMIN);
    }
    /// The supervisor's exit code.
    int finish(int seconds = 60) {
        return wait_for_program(std::exchange(supervisor_, -1), seconds);
    }
    /// Tells the script that it may go on.
    void let_go() const { write_text(builder_.spool() + "/.spool/scripts/x.job.go", ""); }
    /// The job's first process, or 0. The run page names it in its second writing, and the job may
    /// have said something before that.
    pid_t main() const {
        pid_t pid = 0;
        wait_until([&] {
            const auto page = builder_.run();
            if (page) pid = page->main_pid;
            return pid > 0;
        });
        return pid;
    }
    const RecordBuilder& builder() const { return builder_; }
    pid_t supervisor() const { return supervisor_; }

private:
    QTemporaryDir directory_;
    RecordBuilder builder_;
    pid_t supervisor_ = -1;
};

}  // namespace spool::test
