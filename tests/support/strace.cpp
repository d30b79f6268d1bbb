#include "tests/support/strace.h"

#include <QDir>
#include <QFile>
#include <QProcess>
#include <QRegularExpression>
#include <algorithm>

namespace strace {

bool works() {
    static const bool answer = QProcess::execute("strace", {"-q", "-o", "/dev/null", "true"}) == 0;
    return answer;
}

QStringList wrapper(const QStringList& options) {
    return QStringList{"strace", "-D", "-q", "-o", "/dev/null"} + options;
}

QStringList inject(const QString& syscall, const QString& what) {
    return {"-e", "trace=" + syscall, "-e", "inject=" + syscall + ":" + what};
}

QString exec_wrapper(const TestSpool& spool, const QStringList& options) {
    // strace is attached from beside, so that it does not hold the socket's descriptor open.
    const QString text = QString(
                             "#!/bin/bash\n"
                             "(exec 3>&-; exec strace -f -q -A -o '%3' -p $$ %1 2>/dev/null) &\n"
                             "until grep -q '^TracerPid:[[:space:]]*[1-9]' /proc/$$/status; do\n"
                             "    kill -0 $! || exit 1\n"
                             "done 2>/dev/null\n"
                             "exec '%2' \"$@\"\n")
                             .arg(options.join(' '), QString(SPOOL_EXEC), exec_trace(spool));
    QFile file(spool.scratch("spool-exec-traced"));
    if (!file.open(QIODevice::WriteOnly) || file.write(text.toUtf8()) < 0) return {};
    file.setPermissions(QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner);
    return file.fileName();
}

QString exec_trace(const TestSpool& spool) {
    return spool.scratch("spool-exec.trace");
}

int kills(const QString& trace_file) {
    QFile file(trace_file);
    return file.open(QIODevice::ReadOnly)
               ? static_cast<int>(file.readAll().count("+++ killed by SIGKILL +++"))
               : 0;
}

QMap<QString, int> most_calls(const QString& trace_file) {
    static const QRegularExpression call("^(\\d+) +([a-z_0-9]+)\\(");
    QMap<QPair<QString, QString>, int> by_thread;
    QFile file(trace_file);
    if (!file.open(QIODevice::ReadOnly)) return {};
    while (!file.atEnd()) {
        const auto match = call.match(QString::fromLatin1(file.readLine()));
        if (match.hasMatch()) ++by_thread[{match.captured(1), match.captured(2)}];
    }
    QMap<QString, int> most;
    for (auto it = by_thread.cbegin(); it != by_thread.cend(); ++it)
        most[it.key().second] = std::max(most.value(it.key().second), it.value());
    return most;
}

Attached::Attached(const TestSpool& spool, qint64 pid, const QStringList& options)
    : output_(spool.scratch("strace.out")) {
    process_.setProcessChannelMode(QProcess::ForwardedChannels);
    process_.start("strace",
                   QStringList{"-f", "-q", "-o", output_, "-p", QString::number(pid)} + options);
    const auto traced = [](const QString& thread) {
        QFile status(thread + "/status");
        return status.open(QIODevice::ReadOnly) && !status.readAll().contains("TracerPid:\t0\n");
    };
    const QDir threads(QString("/proc/%1/task").arg(pid));
    works_ = process_.waitForStarted() &&
             spool.wait_for(
                 [&] {
                     const QStringList all = threads.entryList(QDir::Dirs | QDir::NoDotAndDotDot);
                     return process_.waitForFinished(0) ||
                            std::all_of(all.begin(), all.end(), [&](const QString& thread) {
                                return traced(threads.filePath(thread));
                            });
                 },
                 "strace to be attached") &&
             process_.state() == QProcess::Running;
}

void Attached::let_go() {
    if (process_.state() == QProcess::NotRunning) return;
    process_.terminate();
    if (!process_.waitForFinished(30'000)) process_.kill();
    process_.waitForFinished(-1);
}

qsizetype Attached::calls() const {
    QFile file(output_);
    return file.open(QIODevice::ReadOnly) ? file.readAll().count('\n') : 0;
}

}  // namespace strace
