// A real spoold in a scratch spool, for system tests.
//
//     TestSpool spool;
//     QVERIFY(spool.start({"--gpus", "0,1"}));
//     spool.drop("x.job", "echo hello");
//     QVERIFY(spool.wait_for([&] { return !spool.result("x").isEmpty(); }, "x to end"));
//     QCOMPARE(spool.result("x")["state"].toString(), "succeeded");
//
// Nothing outside of the scratch directory is read or written: HOME is in it too. When the object
// goes, so does everything that was started in its spool, also what outlived the daemon.
#pragma once

#include <QByteArray>
#include <QJsonObject>
#include <QProcess>
#include <QProcessEnvironment>
#include <QString>
#include <QStringList>
#include <QTemporaryDir>
#include <chrono>
#include <functional>
#include <memory>

/// What a program that ran to its end left.
struct Finished {
    int exit_code = -1;  ///< -1: died of a signal, or did not end in time
    QByteArray out, err;
};

class TestSpool {
public:
    /// With `parent`, the scratch directory is made there (another file system) instead of in
    /// $TMPDIR.
    explicit TestSpool(const QString& parent = {});
    /// Ends the daemon, then kills every process whose environment names this spool.
    ~TestSpool();
    TestSpool(const TestSpool&) = delete;
    TestSpool& operator=(const TestSpool&) = delete;

    /// The spool, or a path in it: path("done/x.json").
    [[nodiscard]] QString path(const QString& inside = {}) const;
    /// A directory beside the spool, on the same file system; also HOME of everything that is
    /// started.
    [[nodiscard]] QString scratch(const QString& inside = {}) const;
    /// The environment of what is started from now on. GPUSPOOL_DIR must stay as it is.
    QProcessEnvironment environment;
    /// A program and its arguments that execute spoold in their own process (strace -D); empty:
    /// none.
    QStringList wrapper;

    /// Starts `spoold --foreground` with more arguments and returns once it owns the spool. False
    /// (and the log in the test's output) if it ends instead. It may be started again after stop()
    /// or kill9().
    bool start(const QStringList& arguments = {});
    bool stop();   ///< SIGTERM; true if it ended with status 0
    void kill9();  ///< SIGKILL, and waits until it is gone; jobs and supervisors live on
    [[nodiscard]] bool is_running() const;
    [[nodiscard]] qint64 pid() const;
    [[nodiscard]] QByteArray daemon_log() const;  ///< all output of all starts

    /// Runs a program in this spool's environment to its end: spoold (--once, a second daemon),
    /// gpuspool.
    Finished run(const QString& program, const QStringList& arguments,
                 std::chrono::milliseconds deadline = std::chrono::seconds(60)) const;
    Finished gpuspool(const QStringList& arguments) const;

    /// Puts a whole file into incoming/ by rename, as mv and rsync do.
    bool drop(const QString& name, const QByteArray& text);
    /// Creates and writes incoming/NAME in place, as the shell's echo does.
    bool write_in_place(const QString& name, const QByteArray& text);

    /// done/NAME.json; empty while it is not there.
    [[nodiscard]] QJsonObject result(const QString& name) const;
    [[nodiscard]] QByteArray read(
        const QString& inside) const;  ///< a file of the spool; empty if absent
    [[nodiscard]] bool exists(const QString& inside) const;

    /// Looks every few milliseconds until `condition` holds. At the deadline: false, and a warning
    /// that names `what` with the end of the daemon's log.
    bool wait_for(const std::function<bool()>& condition, const QString& what,
                  std::chrono::milliseconds deadline = std::chrono::seconds(60)) const;
    /// Waits for done/NAME.json and returns it (empty at the deadline).
    QJsonObject wait_for_result(
        const QString& name, std::chrono::milliseconds deadline = std::chrono::seconds(60)) const;

private:
    QTemporaryDir directory_;
    std::unique_ptr<QProcess> daemon_;
};

/// Sends `signal` to every process of this user whose environment has `entry` ("KEY=VALUE"), except
/// the caller, through a pidfd; returns how many there were.
int signal_processes_with_environment(const QByteArray& entry, int signal);
