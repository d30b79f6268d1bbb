#include "tests/support/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QJsonDocument>
#include <QThread>
#include <cstdio>
#include <filesystem>

using namespace std::chrono_literals;

namespace {

/// The test's own environment without what would let the outside in.
QProcessEnvironment clean_environment() {
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    for (const QString& key : environment.keys()) {
        const bool outside = key.startsWith("GPUSPOOL_") || key.startsWith("SLURM_") ||
                             key.startsWith("XDG_") || key.endsWith("_VISIBLE_DEVICES") ||
                             key == "NOTIFY_SOCKET" || key == "BASH_ENV";
        if (outside) environment.remove(key);
    }
    return environment;
}

bool write_file(const QString& path, const QByteArray& text) {
    QFile file(path);
    return file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
}

QByteArray read_file(const QString& path) {
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

/// The process is looked at after its pidfd is open, so the signal cannot reach another one with
/// the same number.
bool signal_if_environment_has(int pid, const QByteArray& entry, int signal) {
    const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (descriptor < 0) return false;
    const QByteArray environment = read_file(QString("/proc/%1/environ").arg(pid));
    const bool ours = environment.split('\0').contains(entry);
    const bool sent = ours && syscall(SYS_pidfd_send_signal, descriptor, signal, nullptr, 0) == 0;
    close(descriptor);
    return sent;
}

}  // namespace

int signal_processes_with_environment(const QByteArray& entry, int signal) {
    int count = 0;
    for (const QString& name : QDir("/proc").entryList(QDir::Dirs)) {
        bool is_number = false;
        const int pid = name.toInt(&is_number);
        if (is_number && pid != getpid() && signal_if_environment_has(pid, entry, signal)) ++count;
    }
    return count;
}

TestSpool::TestSpool(const QString& parent)
    : environment(clean_environment()),
      directory_((parent.isEmpty() ? QDir::tempPath() : parent) + "/gpuspool-test-XXXXXX") {
    QDir().mkpath(scratch());
    environment.insert("HOME", scratch());
    environment.insert("SHELL", "/bin/bash");
    environment.insert("GPUSPOOL_DIR", path());
    environment.insert("GPUSPOOL_EXEC", SPOOL_EXEC);
    // The machine's own GPUs are no concern of a test.
    environment.insert("GPUSPOOL_PROBE", SPOOL_PROBE);
    environment.insert("GPUSPOOL_GPU_LOCKS", scratch());
    environment.insert("GPUSPOOL_MACHINE_ROOT", scratch("machine"));
    environment.insert("GPUSPOOL_NVML", scratch("libnvidia-ml.so.1"));
    environment.insert("GPUSPOOL_SYSFS", scratch("sys"));
    environment.insert("GPUSPOOL_DEV", scratch("dev"));
}

TestSpool::~TestSpool() {
    if (is_running()) kill9();
    // Jobs fork while they are looked for: until two scans in a row find nothing (at most some
    // seconds).
    const QByteArray entry = "GPUSPOOL_DIR=" + path().toUtf8();
    for (int scan = 0, quiet = 0; quiet < 2 && scan < 500; ++scan) {
        quiet = signal_processes_with_environment(entry, SIGKILL) == 0 ? quiet + 1 : 0;
        if (quiet == 0) QThread::msleep(10);
    }
    // QTemporaryDir does not see names that are not valid UTF-8.
    std::error_code ignored;
    std::filesystem::remove_all(directory_.path().toStdString(), ignored);
}

QString TestSpool::path(const QString& inside) const {
    const QString spool = directory_.filePath("spool");
    return inside.isEmpty() ? spool : spool + '/' + inside;
}

QString TestSpool::scratch(const QString& inside) const {
    const QString home = directory_.filePath("home");
    return inside.isEmpty() ? home : home + '/' + inside;
}

bool TestSpool::start(const QStringList& arguments) {
    if (is_running()) return false;
    daemon_ = std::make_unique<QProcess>();
    daemon_->setProcessEnvironment(environment);
    daemon_->setProcessChannelMode(QProcess::MergedChannels);
    daemon_->setStandardInputFile(QProcess::nullDevice());
    daemon_->setStandardOutputFile(scratch("spoold.log"), QIODevice::Append);
    const QStringList command = wrapper + QStringList{SPOOLD, "--foreground"} + arguments;
    daemon_->start(command.first(), command.mid(1));
    if (!daemon_->waitForStarted()) return false;
    const auto owned_or_ended = [this] {
        const auto owner = QJsonDocument::fromJson(read(".spool/owner")).object();
        return owner["pid"].toInteger() == pid() || !is_running();
    };
    if (wait_for(owned_or_ended, "spoold to own the spool") && is_running()) return true;
    qWarning("spoold did not start:\n%s", daemon_log().constData());
    return false;
}

bool TestSpool::stop() {
    if (!is_running()) return false;
    daemon_->terminate();
    const bool ended = daemon_->waitForFinished(60'000);
    if (!ended) kill9();
    return ended && daemon_->exitStatus() == QProcess::NormalExit && daemon_->exitCode() == 0;
}

void TestSpool::kill9() {
    if (!daemon_) return;
    daemon_->kill();
    daemon_->waitForFinished(-1);
}

bool TestSpool::is_running() const {
    // QProcess learns of an end only when it is asked to wait.
    return daemon_ && daemon_->state() != QProcess::NotRunning && !daemon_->waitForFinished(0);
}

qint64 TestSpool::pid() const {
    return daemon_ ? daemon_->processId() : 0;
}

QByteArray TestSpool::daemon_log() const {
    return read_file(scratch("spoold.log"));
}

Finished TestSpool::run(const QString& program, const QStringList& arguments,
                        std::chrono::milliseconds deadline) const {
    QProcess process;
    process.setProcessEnvironment(environment);
    process.setWorkingDirectory(scratch());
    process.setStandardInputFile(QProcess::nullDevice());
    process.start(program, arguments);
    const bool ended = process.waitForFinished(static_cast<int>(deadline.count()));
    if (!ended) {
        qWarning("%s did not end in time", qPrintable(program));
        process.kill();
        process.waitForFinished(-1);
    }
    const bool has_code = ended && process.exitStatus() == QProcess::NormalExit;
    return {has_code ? process.exitCode() : -1, process.readAllStandardOutput(),
            process.readAllStandardError()};
}

Finished TestSpool::gpuspool(const QStringList& arguments) const {
    return run(GPUSPOOL, arguments);
}

bool TestSpool::drop(const QString& name, const QByteArray& text) {
    const QString staged = scratch("dropping-" + name);
    return write_file(staged, text) &&
           std::rename(QFile::encodeName(staged), QFile::encodeName(path("incoming/" + name))) == 0;
}

bool TestSpool::write_in_place(const QString& name, const QByteArray& text) {
    return write_file(path("incoming/" + name), text);
}

QJsonObject TestSpool::result(const QString& name) const {
    return QJsonDocument::fromJson(read("done/" + name + ".json")).object();
}

QByteArray TestSpool::read(const QString& inside) const {
    return read_file(path(inside));
}

bool TestSpool::exists(const QString& inside) const {
    return QFileInfo::exists(path(inside));
}

bool TestSpool::wait_for(const std::function<bool()>& condition, const QString& what,
                         std::chrono::milliseconds deadline) const {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= end) {
            qWarning("waited %lld ms in vain for %s; the daemon's log ends with:\n%s",
                     static_cast<long long>(deadline.count()), qPrintable(what),
                     daemon_log().right(4000).constData());
            return false;
        }
        QThread::msleep(5);
    }
    return true;
}

QJsonObject TestSpool::wait_for_result(const QString& name,
                                       std::chrono::milliseconds deadline) const {
    const bool there =
        wait_for([&] { return !result(name).isEmpty(); }, "done/" + name + ".json", deadline);
    return there ? result(name) : QJsonObject();
}
