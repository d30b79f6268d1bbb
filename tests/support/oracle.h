// What must hold in a spool whatever happened to its daemon (docs/protocol.md, the promise).
//
// A test submits jobs through `CrashJobs`: each of them writes "start" and "end" lines to one file
// in the scratch directory, so that the oracle knows what was truly executed. After the test has
// broken what it wanted to break, and a clean daemon has settled everything, `findings` compares
// the spool with those lines. An empty list means that the promise was kept.
#pragma once

#include <QByteArray>
#include <QList>
#include <QMap>
#include <QString>
#include <QStringList>

#include "tests/support/daemon.h"

struct CrashJob {
    QString file_name;        ///< as it is dropped into incoming/
    bool may_run = true;      ///< false: rejected, never executed
    bool is_retried = false;  ///< its first attempt fails; each marks itself by label and attempt
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
    /// Drops a job whose first attempt fails, and that asks for another one.
    bool drop_retried(const QString& label);
    /// Drops a file that is no valid job.
    bool drop_invalid(const QString& label);
    /// Hands a job to `gpuspool submit`.
    bool submit(const QString& label, const QByteArray& body = {});

    /// No job waits or runs, and each has a result.
    [[nodiscard]] bool settled() const;
    [[nodiscard]] QList<ExecutionMark> marks() const;
    [[nodiscard]] const QList<CrashJob>& jobs() const { return jobs_; }
    [[nodiscard]] TestSpool& spool() const { return spool_; }

private:
    TestSpool& spool_;
    QString marks_;
    QList<CrashJob> jobs_;
};

/// Names, sizes and contents of the files in done/.
QMap<QString, QByteArray> snapshot_of_done(const TestSpool& spool);

/// What is wrong, one sentence each. To be asked when nothing runs any more.
QStringList findings(const CrashJobs& jobs);

/// Starts and stops the daemon twice; says what that changed in done/.
QStringList changes_by_restarts(TestSpool& spool, const QStringList& arguments);
