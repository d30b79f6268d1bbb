// Jobs whose end is known: what a test submits before it breaks something (see oracle.h).
//
// Each of them writes "start" and "end" lines to one file in the scratch directory, so that what
// was truly executed is known whatever the spool says.
#pragma once

#include <QByteArray>
#include <QList>
#include <QString>
#include <functional>

#include "tests/support/daemon.h"

/// A job, and what becomes of it as long as nothing is done to it but what its user does.
struct CrashJob {
    QString file_name;            ///< as it is dropped into incoming/
    QString state = "succeeded";  ///< as its result says it
    int exit_code = 0;            ///< of one that has succeeded or failed
    int attempts = 1;             ///< more: each marks itself by label and attempt
    int tasks = 0;                ///< of an array: each marks itself by label and task
    bool may_run = true;
    QString output = {};  ///< the file that it names for its output, where it says "said"
};

/// A line that a job wrote.
struct ExecutionMark {
    bool is_end = false;
    QString label, number, slot;
};

/// The jobs of one test, and what they wrote.
class CrashJobs {
public:
    /// With `marks`, the jobs write to that file: where the scratch directory is to lose what was
    /// written.
    explicit CrashJobs(TestSpool& spool, const QString& marks = {})
        : spool_(spool), marks_(marks.isEmpty() ? spool.scratch("marks") : marks) {}

    /// The text of a job that marks its start, does `body`, and marks its end.
    [[nodiscard]] QByteArray script(const QString& label, const QByteArray& body) const;
    /// Drops that job by rename, or writes it in place.
    bool drop(const QString& label, const QByteArray& body = {});
    bool write_in_place(const QString& label, const QByteArray& body = {});
    /// Drops a job that ends with 3.
    bool drop_failing(const QString& label);
    /// Drops a job whose first attempt fails, and that asks for another one.
    bool drop_retried(const QString& label);
    /// Drops a file that is no valid job.
    bool drop_invalid(const QString& label);
    /// Drops a job that names a file for its output, in a directory that is not there.
    bool drop_with_output(const QString& label);
    /// Drops an array of three tasks.
    bool drop_array(const QString& label);
    /// Drops a job that ends only when its user cancels it, which follows once it runs.
    bool drop_cancelled(const QString& label);
    /// Drops a job that is held; its file is removed once it has its number.
    bool drop_withdrawn(const QString& label);
    /// Hands a job to `gpuspool submit`.
    bool submit(const QString& label, const QByteArray& body = {});

    /// Does what the user wants to do to these jobs, as far as the moment for it has come.
    void go_on();

    /// Goes on, and answers whether they are settled then.
    bool settle() {
        go_on();
        return settled();
    }
    /// No job waits or runs, and each has a result.
    [[nodiscard]] bool settled() const;
    [[nodiscard]] QList<ExecutionMark> marks() const;
    [[nodiscard]] const QList<CrashJob>& jobs() const { return jobs_; }
    [[nodiscard]] TestSpool& spool() const { return spool_; }

private:
    [[nodiscard]] bool has_started(const QString& label) const;
    [[nodiscard]] bool has_result(const QString& file_name) const;

    TestSpool& spool_;
    QString marks_;
    QList<CrashJob> jobs_;
    QList<std::function<bool()>> wishes_;  ///< each answers true when there is nothing left to do
};
