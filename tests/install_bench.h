// A clone with nothing in it but packaging/, in a scratch home, and stand-ins for what the scripts
// there call: packages, root's rights, cmake, systemd. What is called is written down.
#pragma once

#include <unistd.h>

#include <QDir>
#include <QFile>
#include <QStandardPaths>
#include <QtTest>

#include "tests/stand_ins.h"
#include "tests/support/look.h"

/// "Installs" the programs of the build tree by links; as cmake does it where ~/really-install
/// exists.
inline const QByteArray cmake_stand_in = R"SH(#!/bin/bash
echo "cmake $*" >>"$CALLS"
set -e
case $1 in
--preset) for word; do case $word in -DCMAKE_INSTALL_PREFIX=*) echo "${word#*=}" >build/prefix ;; esac; done ;;
--install)
    read -r prefix <build/prefix
    mkdir -p build/release
    if [ -e "$HOME/really-install" ]; then
        "$REAL_CMAKE" --install "$BUILD" --prefix "$prefix"
        cp "$BUILD/install_manifest.txt" build/release/
        exit
    fi
    mkdir -p "$prefix/bin" "$prefix/libexec/gpuspool"
    : >build/release/install_manifest.txt
    for pair in spoold/spoold:bin cli/gpuspool:bin spoold/spool-exec:libexec/gpuspool spoold/spool-probe:libexec/gpuspool; do
        from=$BUILD/${pair%:*} to=$prefix/${pair#*:}/${pair##*/}
        to=$prefix/${pair#*:}/$(basename "$from")
        cp -lf "$from" "$to" 2>/dev/null || cp -f "$from" "$to"
        echo "-- Installing: $to"
        # As cmake does it: no line feed at the end.
        [ ! -s build/release/install_manifest.txt ] || echo >>build/release/install_manifest.txt
        printf %s "$to" >>build/release/install_manifest.txt
    done ;;
esac
)SH";

class InstallBench {
public:
    InstallBench() {
        for (const char* name : tools)
            link_tool(name);
        shell(spool, "mkdir -p clone calls && chmod 777 calls && cp -r '" SOURCE_DIR
                     "/packaging' clone/ && chmod -R a+rX clone");
        stand_in("cmake", cmake_stand_in);
        QProcessEnvironment& environment = spool.environment;
        environment.insert("PATH", spool.scratch("stand-ins") + ':' + spool.scratch("tools"));
        environment.insert("CALLS", spool.scratch("calls/log"));
        environment.insert("BUILD", BINARY_DIR);
        environment.insert("REAL_CMAKE", QStandardPaths::findExecutable("cmake"));
        // The installed daemon finds the installed programs.
        environment.remove("GPUSPOOL_EXEC");
        environment.remove("GPUSPOOL_PROBE");
    }

    void stand_in(const QString& name, const QByteArray& text) const {
        test::write_file(spool.scratch("stand-ins/" + name), text, true);
        QFile::setPermissions(spool.scratch("stand-ins/" + name), readable | executable);
    }
    [[nodiscard]] Finished script(const QString& name, const QStringList& arguments) const {
        return spool.run(spool.scratch("clone/packaging/" + name), arguments,
                         std::chrono::minutes(2));
    }
    /// What was called of the stand-ins that write it down, a line each.
    [[nodiscard]] QByteArray calls() const { return home_file(spool, "calls/log"); }
    [[nodiscard]] QString installed(const QString& name) const {
        return spool.scratch(".local/" + name);
    }
    /// As a user types it after the installation.
    [[nodiscard]] Finished gpuspool(const QStringList& arguments) const {
        return spool.run(installed("bin/gpuspool"), arguments);
    }
    [[nodiscard]] qint64 daemon_pid() const {
        const Finished status = gpuspool({"status", "--json"});
        const QJsonObject daemon =
            QJsonDocument::fromJson(status.out).object()["daemon"].toObject();
        return daemon["running"].toBool() ? daemon["pid"].toInteger() : 0;
    }
    /// For a script that must not be root's: its words. Empty where the tests are a user's
    /// themselves.
    [[nodiscard]] static QStringList as_a_user() {
        if (::geteuid() != 0) return {};
        return {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    }

    TestSpool spool;

private:
    static constexpr QFile::Permissions executable =
        QFile::ExeOwner | QFile::ExeGroup | QFile::ExeOther;
    static constexpr QFile::Permissions readable =
        QFile::ReadOwner | QFile::WriteOwner | QFile::ReadGroup | QFile::ReadOther;
    static constexpr const char* tools[] = {
        "bash",     "sh",     "env", "cat",   "sed",   "grep",    "tail",     "head",
        "tr",       "cut",    "id",  "mkdir", "rm",    "rmdir",   "realpath", "readlink",
        "mv",       "cp",     "ln",  "nproc", "nohup", "timeout", "sleep",    "dirname",
        "basename", "setsid", "tee", "touch", "chmod", "true"};

    void link_tool(const QString& name) const {
        QDir().mkpath(spool.scratch("tools"));
        if (!QFile::link(QStandardPaths::findExecutable(name), spool.scratch("tools/" + name)))
            qFatal("cannot link %s", qPrintable(name));
    }
};
