#include "tests/support/strace.h"

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

}  // namespace strace
