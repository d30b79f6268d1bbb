// The real gpuspool on scratch spools without a daemon.
#pragma once

#include <QFile>
#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QTemporaryDir>

struct Ran {
    int code = -1;
    QByteArray out, err;
};

/// A spool of its own, and gpuspool on it.
class Cli {
public:
    Cli() {
        environment.insert("GPUSPOOL_DIR", path());
        environment.insert("HOME", directory_.path());
        environment.insert("TERM", "xterm-256color");
        environment.remove("NO_COLOR");
    }

    /// QTemporaryDir cannot remove names that are not valid UTF-8.
    ~Cli() { QProcess::execute("rm", {"-rf", "--", path()}); }
    Cli(const Cli&) = delete;
    Cli& operator=(const Cli&) = delete;

    Ran run(const QStringList& arguments, const QByteArray& input = {}) const {
        QProcess process;
        process.setProcessEnvironment(environment);
        process.setWorkingDirectory(directory_.path());
        process.start(GPUSPOOL, arguments);
        process.write(input);
        process.closeWriteChannel();
        if (!process.waitForFinished(60'000)) {
            process.kill();
            process.waitForFinished();
            return {-1, process.readAllStandardOutput(),
                    process.readAllStandardError() + "\n(did not end)"};
        }
        return {process.exitCode(), process.readAllStandardOutput(),
                process.readAllStandardError()};
    }

    [[nodiscard]] QString path(const QString& inside = {}) const {
        return directory_.path() + "/spool" + (inside.isEmpty() ? QString() : "/" + inside);
    }
    [[nodiscard]] QString beside(const QString& name) const {
        return directory_.path() + '/' + name;
    }
    [[nodiscard]] QByteArray read(const QString& inside) const {
        QFile file(path(inside));
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray("(not there)");
    }
    void write(const QString& name, const QByteArray& bytes) const {
        QFile file(name);
        if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size())
            qFatal("cannot write %s", qPrintable(name));
    }
    [[nodiscard]] QJsonObject status() const {
        return QJsonDocument::fromJson(run({"status", "--json"}).out).object();
    }
    /// A job that waits, named "newest".
    void put_newest_job() const {
        const Ran ran = run({"submit", "-n", "newest", "--", "true"});
        if (ran.code != 0) qFatal("cannot submit: %s", ran.err.constData());
    }
    /// A job that has ended, as a daemon would leave it.
    void put_done(const QString& name, int id, const QByteArray& facts,
                  const QByteArray& log) const {
        write(path("done/" + name + ".job"), "echo again\n");
        write(path("done/" + name + ".log"), log);
        write(path("done/" + name + ".json"),
              "{\"id\":" + QByteArray::number(id) + ",\"name\":\"" + name.toUtf8() +
                  "\",\"file\":\"" + name.toUtf8() + ".job\"," + facts +
                  ",\"ended_at\":\"2026-01-01T00:00:0" + QByteArray::number(id % 10) + ".000Z\"}");
    }

    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();

private:
    QTemporaryDir directory_;
};

inline const QByteArray failed_with_3 =
    R"("state":"failed","exit_code":3,"signal":null,"reason":"exit code 3")";
inline const QByteArray succeeded = R"("state":"succeeded","exit_code":0,"signal":null)";

inline bool has_escape(const QByteArray& bytes) {
    return bytes.contains('\033');
}
