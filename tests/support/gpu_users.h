// Several made-up users on one machine with GPUs that are not there, each with a spool and a daemon
// of his own. Needs root.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <QDir>
#include <QFileInfo>
#include <QJsonArray>
#include <QTemporaryDir>

#include "tests/support/fake_gpus.h"

inline constexpr int machine_gpus = 4;
inline constexpr uid_t first_uid = 61'201;

/// What the users have in common: the programs, the driver, the locks, and the oracle.
class Machine {
public:
    Machine() : directory_(QDir::tempPath() + "/gpuspool-machine-XXXXXX") {
        make("", 0755);
        make("locks", 01777);
        make("oracle", 01777);
        for (const char* program : {SPOOLD, SPOOL_EXEC, SPOOL_PROBE, GPUSPOOL, FAKE_NVML_NEW})
            if (!QFile::copy(program, path(QFileInfo(program).fileName())))
                qFatal("cannot copy %s", program);
    }
    [[nodiscard]] QString path(const QString& inside) const { return directory_.filePath(inside); }

private:
    void make(const QString& inside, mode_t mode) const {
        QDir().mkpath(path(inside));
        if (::chmod(qPrintable(path(inside)), mode) != 0) qFatal("cannot chmod a directory");
    }

    QTemporaryDir directory_;
};

/// A user with a spool and a daemon.
class User {
public:
    User(const Machine& machine, int number)
        : gpus(spool, all_gpus()), uid_(first_uid + static_cast<uid_t>(number)) {
        spool.environment.insert("GPUSPOOL_GPU_LOCKS", machine.path("locks"));
        spool.environment.insert("GPUSPOOL_NVML",
                                 machine.path(QFileInfo(FAKE_NVML_NEW).fileName()));
        spool.environment.insert("GPUSPOOL_EXEC", machine.path("spool-exec"));
        spool.environment.insert("GPUSPOOL_PROBE", machine.path("spool-probe"));
        const QString id = QString::number(uid_);
        as_user_ = {"--reuid=" + id, "--regid=" + id, "--clear-groups"};
        gpuspool_ = machine.path("gpuspool");
        const QStringList daemon = {"sh", "-c", "shift; exec \"$0\" \"$@\"",
                                    machine.path("spoold")};
        spool.wrapper = QStringList{"setpriv"} + as_user_ + daemon;
        QDir().mkpath(spool.path("incoming"));
        give_away(QFileInfo(spool.path()).path());
        give_away(spool.scratch());
        give_away(spool.scratch("gpus.json"));
        give_away(spool.path());
        give_away(spool.path("incoming"));
        for (const QString& made : {spool.path(), spool.path("incoming")})
            if (::chmod(qPrintable(made), 0700) != 0) qFatal("cannot chmod the spool");
    }

    void drop(const QString& name, const QByteArray& text) const {
        const QString staged = spool.scratch("dropping-" + name);
        QFile file(staged);
        if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size())
            qFatal("cannot write a job");
        file.close();
        give_away(staged);
        if (::rename(qPrintable(staged), qPrintable(spool.path("incoming/" + name))) != 0)
            qFatal("cannot drop a job");
    }
    /// A command as this user.
    [[nodiscard]] Finished run(const QStringList& command) const {
        return spool.run("setpriv", as_user_ + command);
    }
    [[nodiscard]] QByteArray gpuspool(const QStringList& arguments) const {
        return run(QStringList{gpuspool_} + arguments).out;
    }
    [[nodiscard]] QStringList results() const {
        return QDir(spool.path("done")).entryList({"*.json"}, QDir::Files);
    }

    TestSpool spool;
    FakeGpus gpus;  ///< as the drivers tell this user's programs

private:
    static QJsonArray all_gpus() {
        QJsonArray gpus;
        for (int gpu = 0; gpu < machine_gpus; ++gpu)
            gpus.append(FakeGpus::a100(gpu));
        return gpus;
    }
    void give_away(const QString& path) const {
        if (::chown(qPrintable(path), uid_, uid_) != 0) qFatal("cannot chown %s", qPrintable(path));
    }

    uid_t uid_;
    QStringList as_user_;
    QString gpuspool_;
};
