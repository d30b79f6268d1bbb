// A scratch home: the environment of a new terminal there, and jobs that are run in it.
#pragma once

#include <QDir>
#include <QTemporaryDir>
#include <QTest>
#include <optional>
#include <string>

#include "libspool/launch_spec.h"
#include "libspool/prelude.h"
#include "loop.h"
#include "spoold/captured_run.h"
#include "spoold/login_environment.h"
#include "stand_ins.h"

namespace test {

using spool::Environment;
using spoold::Captured;

inline constexpr const char* usual_path = "/usr/local/bin:/usr/bin:/bin";

inline QString value(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? "(absent)" : QString::fromStdString(found->second);
}

/// A job, and what it is run with.
struct Job {
    spool::JobSpec spec;
    QByteArray script;
    Environment base;
};

inline Job script_job(const QByteArray& script, Environment base) {
    Job job;
    job.script = script;
    job.base = std::move(base);
    return job;
}

inline Job command_job(std::vector<std::string> command, Environment base) {
    Job job;
    job.spec.kind = spool::JobSpec::Kind::command;
    job.spec.command = std::move(command);
    job.base = std::move(base);
    return job;
}

class LoginBench {
protected:
    /// A home with nothing in it.
    void make_home() {
        scratch_ = std::make_unique<QTemporaryDir>();
        QVERIFY(scratch_->isValid());
        QDir().mkpath(home());
    }
    [[nodiscard]] QString home(const QString& name = {}) const {
        return scratch_->path() + "/home" + (name.isEmpty() ? "" : "/" + name);
    }

    spoold::LoginRequest request(const QString& shell = "/bin/bash") {
        return {.shell = shell.toStdString(),
                .home = home().toStdString(),
                .own = {{"PATH", usual_path}, {"LANG", "C.UTF-8"}},
                .timeout = std::chrono::seconds(30),
                .is_dropped = {}};
    }

    spool::Result<Environment> capture(const spoold::LoginRequest& request) {
        std::optional<spool::Result<Environment>> result;
        spoold::capture_login_environment(
            io_, request, [&](spool::Result<Environment> environment) { result = environment; });
        if (!run_until(
                io_, [&] { return result.has_value(); }, std::chrono::seconds(60)))
            return spool::system_error("wait for the login environment", {}, ETIMEDOUT);
        return *result;
    }

    /// The environment of the set-up shell; without functions that this machine's own set-up may
    /// export.
    Environment login() {
        auto environment = capture(request());
        if (!environment) qFatal("%s", environment.error().text().c_str());
        std::erase_if(*environment,
                      [](const auto& e) { return e.first.starts_with("BASH_FUNC_"); });
        return *environment;
    }

    /// Runs a job exactly as the launch specification says.
    Captured run(const Job& job) {
        const QString script_path = scratch_->filePath("scripts/7");
        const QString prelude_path = scratch_->filePath("prelude.bash");
        write_file(script_path, job.script);
        write_file(prelude_path, QByteArray::fromStdString(std::string(spool::prelude_text)));
        const spool::Config config;
        const auto launch =
            spool::launch_spec({.spec = job.spec,
                                .config = config,
                                .base = job.base,
                                .script = job.script.toStdString(),
                                .script_path = script_path.toStdString(),
                                .number = 7,
                                .name = "x",
                                .token = "token",
                                .spool_path = scratch_->path().toStdString(),
                                .prelude_path = prelude_path.toStdString(),
                                .home = home().toStdString(),
                                .has_program = [](const std::string&) { return true; }});
        Environment environment = launch.environment;
        environment.insert(job.base.begin(), job.base.end());
        spoold::ProcessOptions options{.arguments = launch.arguments,
                                       .directory = launch.directory};
        for (const auto& [name, text] : environment)
            options.environment.push_back(name + "=" + text);

        std::optional<spool::Result<Captured>> result;
        spoold::run_captured(
            io_, options, 1 << 20, std::chrono::seconds(60),
            [&](spool::Result<Captured> captured) { result = std::move(captured); });
        if (!run_until(
                io_, [&] { return result.has_value(); }, std::chrono::seconds(90)))
            qFatal("the job hangs");
        if (!*result) qFatal("%s", result->error().text().c_str());
        return **result;
    }

    void set_up_conda_and_modules() {
        const QString conda = scratch_->filePath("conda"), modules = scratch_->filePath("modules");
        make_conda(conda);
        make_modules(modules);
        write_file(home(".profile"), "if [ -f \"$HOME/.bashrc\" ]; then . \"$HOME/.bashrc\"; fi\n");
        write_file(home(".bashrc"), "case $- in *i*) ;; *) return;; esac\n. '" + modules.toUtf8() +
                                        "/init/bash'\n" + conda_init_block(conda.toUtf8()));
    }

    boost::asio::io_context io_;
    std::unique_ptr<QTemporaryDir> scratch_;
};

}  // namespace test
