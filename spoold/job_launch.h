// From the bytes of a job file to what its supervisor executes: joins the pure rules of
// libspool/launch_spec.h with the environments of this machine.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "libspool/array_record.h"
#include "libspool/claim.h"
#include "libspool/config.h"
#include "libspool/environment.h"
#include "libspool/job_spec.h"
#include "libspool/launch_spec.h"

namespace spoold {

/// What every task of an array is told of it, but for its own index. Of one that has some tasks of
/// another once more the counts are those of the other.
[[nodiscard]] spool::ArrayTask array_task_of(const spool::ArrayRecord& array,
                                             const spool::JobSpec& spec);

/// Makes launches. Keeps captured environments in memory, so that a thousand jobs of one submission
/// read theirs once.
class JobLauncher {
public:
    explicit JobLauncher(spool::Spool& spool) : spool_(spool) {}

    /// Writes the prelude into .spool/env/. Once, before the first launch.
    spool::Result<void> prepare();

    void set_config(const spool::Config& config) { config_ = config; }
    /// The environment of bare files: the login shell's, or the daemon's own (`source` is "login"
    /// or "daemon").
    spool::Result<void> set_environment(spool::Environment environment, std::string source);
    [[nodiscard]] bool has_environment() const { return !source_.empty(); }

    /// KEY=VALUE of those of `names` that the login environment has: handed to a job at its start.
    [[nodiscard]] std::vector<std::string> secrets(const std::vector<std::string>& names) const;

    /// What is executed for a job file. `bytes` was read without error before; `submitted_at` is
    /// when it was first seen.
    spool::Launch launch(const spool::ClaimIdentity& identity, const std::string& bytes,
                         std::int64_t submitted_at);
    /// The same for a task of an array: its job file is read, and its list of tasks looked at, once
    /// for all of them.
    struct Array {
        const spool::ArrayRecord& record;
        const spool::JobSpec& spec;
        const spool::ArrayTask& task;  ///< what all of them are told, whichever it is of
    };
    spool::Launch launch_task(const spool::ClaimIdentity& identity, const Array& array);

private:
    spool::Launch launch(const spool::ClaimIdentity& identity, const spool::JobSpec& spec,
                         const std::string& bytes, std::int64_t submitted_at, const Array* array);
    const spool::Environment& base_environment(const spool::JobSpec& spec, spool::Launch& launch);

    spool::Spool& spool_;
    spool::Config config_;
    spool::Environment environment_;                ///< of bare files
    std::vector<std::string> environment_secrets_;  ///< names of its secrets
    std::string environment_file_, source_;
    std::map<std::string, spool::Environment> captured_;  ///< by name in .spool/env/
};

}  // namespace spoold
