// strace as a saboteur: kills a process at its N-th call, or makes calls fail.
#pragma once

#include <QMap>
#include <QProcess>
#include <QString>
#include <QStringList>

#include "tests/support/daemon.h"

namespace strace {

/// Whether strace is there and may trace (a container may forbid it).
[[nodiscard]] bool works();

/// The command that runs spoold with `options` of strace ("-e", "inject=…"), to be set as
/// `TestSpool::wrapper`. strace is a detached grandchild, so the process keeps its number. Only the
/// main thread is traced, unless "-f" is among the options.
[[nodiscard]] QStringList wrapper(const QStringList& options);

/// A program for `spoold --exec` that runs spool-exec, with all that it forks, under strace with
/// `options`. Written into the spool's scratch directory. What strace sees is in `exec_trace`.
[[nodiscard]] QString exec_wrapper(const TestSpool& spool, const QStringList& options);
[[nodiscard]] QString exec_trace(const TestSpool& spool);
/// How many processes were killed, according to a trace.
[[nodiscard]] int kills(const QString& trace_file);

/// The options that inject `what` into calls of `syscall`: inject("openat", "signal=KILL:when=3").
[[nodiscard]] QStringList inject(const QString& syscall, const QString& what);

/// How often one thread made each call, at most, as `strace -f -o` wrote it to a file.
[[nodiscard]] QMap<QString, int> most_calls(const QString& trace_file);

/// strace on a running process, with all its threads, as long as this lives. What it does is
/// counted.
class Attached {
public:
    /// `options` as for `wrapper`; "-P" restricts them to a path.
    Attached(const TestSpool& spool, qint64 pid, const QStringList& options);
    ~Attached() { let_go(); }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

    [[nodiscard]] bool works() const { return works_; }
    void let_go();
    /// How many calls were traced.
    [[nodiscard]] qsizetype calls() const;

private:
    QString output_;
    QProcess process_;
    bool works_ = false;
};

}  // namespace strace
