// A job, and the launch specification that becomes of it.
#pragma once

#include <QString>
#include <QStringList>
#include <string>
#include <vector>

#include "libspool/launch_spec.h"

namespace test {

inline QStringList as_list(const std::vector<std::string>& strings) {
    QStringList out;
    for (const std::string& text : strings)
        out << QString::fromStdString(text);
    return out;
}

/// A job and all that is known about it.
struct LaunchJob {
    spool::JobSpec spec;
    spool::Config config;
    spool::Environment base;
    std::string script;
    bool sbatch_lines = false, bash = true;
    std::uint64_t number = 42;

    [[nodiscard]] spool::LaunchSpec launch() const {
        return spool::launch_spec(
            {.spec = spec,
             .config = config,
             .base = base,
             .script = script,
             .script_path = "/s/42",
             .sbatch_lines = sbatch_lines,
             .number = number,
             .name = "x",
             .token = "t0k",
             .attempt = 2,
             .spool_path = "/home/u/.gpuspool",
             .prelude_path = "/p/prelude.bash",
             .home = "/home/u",
             .has_program = [this](const std::string& name) { return name == "bash" && bash; }});
    }
    /// The value of an override, or "(absent)".
    [[nodiscard]] QString value(const std::string& name) const {
        const spool::Environment environment = launch().environment;
        const auto found = environment.find(name);
        return found == environment.end() ? "(absent)" : QString::fromStdString(found->second);
    }
};

inline LaunchJob command_job(std::vector<std::string> command) {
    LaunchJob job;
    job.spec.kind = spool::JobSpec::Kind::command;
    job.spec.command = std::move(command);
    return job;
}

}  // namespace test
