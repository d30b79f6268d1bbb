#include "job_launch.h"

#include <pwd.h>
#include <unistd.h>

#include "libspool/job_file.h"
#include "libspool/launch_spec.h"
#include "libspool/output_pattern.h"
#include "libspool/prelude.h"
#include "libspool/system.h"

namespace spoold {
namespace {

/// Asked for bash and the like at every launch: such programs do not come and go.
bool has_program(const std::string& name) {
    static std::map<std::string, bool> known;
    if (const auto found = known.find(name); found != known.end()) return found->second;
    bool& there = known[name];
    for (const char* directory : {"/bin/", "/usr/bin/", "/usr/local/bin/"})
        there = there || access((directory + name).c_str(), X_OK) == 0;
    return there;
}

std::string user_name() {
    const passwd* entry = getpwuid(geteuid());
    return entry != nullptr ? entry->pw_name : std::to_string(geteuid());
}

bool has_sbatch_lines(const std::string& bytes) {
    return bytes.starts_with("#SBATCH") || bytes.find("\n#SBATCH") != std::string::npos;
}

/// Where output goes: absolute, relative to the job's directory, patterns filled in.
std::string output_path(const std::string& pattern, std::uint64_t number, const std::string& name,
                        const std::string& directory, const std::string& home) {
    if (pattern.empty()) return {};
    const std::string path = spool::expand_home(
        spool::expand_output_pattern(pattern,
                                     {number, std::nullopt, name, spool::host_name(), user_name()}),
        home);
    return path.starts_with('/') ? path : directory + "/" + path;
}

}  // namespace

spool::Result<void> JobLauncher::prepare() {
    return spool::write_atomically(spool_, spool_.environments.get(), spool::prelude_name,
                                   spool::prelude_text, true);
}

spool::Result<void> JobLauncher::set_environment(spool::Environment environment,
                                                 std::string source) {
    auto filtered = spool::filter_environment(environment);
    auto stored = spool::store_environment(spool_, filtered.kept);
    if (!stored) return tl::unexpected(stored.error());
    environment_file_ = *stored;
    environment_secrets_ = std::move(filtered.secrets);
    environment_ = std::move(environment);
    source_ = std::move(source);
    return {};
}

std::vector<std::string> JobLauncher::secrets(const std::vector<std::string>& names) const {
    std::vector<std::string> variables;
    for (const std::string& name : names)
        if (const auto found = environment_.find(name); found != environment_.end())
            variables.push_back(name + "=" + found->second);
    return variables;
}

/// The environment that a job starts from; the launch notes which variables (secrets) it lacks.
const spool::Environment& JobLauncher::base_environment(const spool::JobSpec& spec,
                                                        spool::Launch& launch) {
    if (spec.submit && !spec.submit->environment.empty()) {
        const std::string& name = spec.submit->environment;
        auto found = captured_.find(name);
        if (found == captured_.end())
            if (auto loaded = spool::load_environment(spool_, name))
                found = captured_.emplace(name, std::move(*loaded)).first;
        if (found != captured_.end()) {
            launch.environment_file = name;
            launch.facts.environment_source = "submit";
            launch.facts.secrets = spec.submit->secrets;
            return found->second;
        }
        launch.facts.notes.push_back("its recorded environment .spool/env/" + name +
                                     " could not be read: it got that of the login shell");
    }
    launch.environment_file = environment_file_;
    launch.facts.environment_source = source_;
    launch.facts.secrets = environment_secrets_;
    return environment_;
}

spool::Launch JobLauncher::launch(const spool::ClaimIdentity& identity, const std::string& bytes,
                                  std::int64_t submitted_at) {
    spool::Launch launch;
    // Read without error when it settled, and unchanged since; were it otherwise, an empty list of
    // arguments fails to start.
    const auto spec = spool::read_job_file(bytes, identity.name);
    if (!spec) return launch;

    launch.facts.notes = spec->notes;
    const spool::Environment& base = base_environment(*spec, launch);
    const std::string home = spool::home_directory();
    const std::string script = spool::executed_script(bytes);
    spool::LaunchRequest request{*spec, config_, base, script, {}, {}, {},
                                 {},    {},      1,    {},     {}, {}, {}};
    request.script_path = spool_.path + "/.spool/scripts/" + identity.name + identity.extension;
    request.sbatch_lines = spec->kind == spool::JobSpec::Kind::script && has_sbatch_lines(bytes);
    request.number = identity.number;
    request.name = spec->name.empty() ? identity.name : spec->name;
    request.token = spool::to_hex(identity.token);
    request.attempt = static_cast<int>(identity.attempt);
    request.spool_path = spool_.path;
    request.prelude_path = spool_.path + "/.spool/env/" + std::string(spool::prelude_name);
    request.home = home;
    request.has_program = has_program;
    const spool::LaunchSpec made = spool::launch_spec(request);

    launch.arguments = made.arguments;
    launch.directory = made.directory;
    for (const auto& [key, value] : made.environment)
        launch.environment.push_back(std::string(key).append("=").append(value));
    launch.output = output_path(spec->output, identity.number, request.name, made.directory, home);
    launch.error_output =
        output_path(spec->error, identity.number, request.name, made.directory, home);
    if (made.needs_script) launch.flags |= spool::record::writes_script;
    if (made.plain_command) launch.flags |= spool::record::plain_command;
    if (spec->truncate_output) launch.flags |= spool::record::truncate_output;
    if (spec->wait_for_leftovers) launch.flags |= spool::record::wait_for_leftovers;
    launch.time_limit =
        static_cast<std::uint64_t>(spec->time_limit.value_or(std::chrono::milliseconds(0)).count());
    launch.warn_signal = static_cast<std::uint32_t>(spec->warn_signal);
    launch.warn_before = static_cast<std::uint64_t>(spec->warn_before.count());
    launch.grace = static_cast<std::uint64_t>(spec->grace.value_or(config_.grace).count());
    launch.leftover_grace =
        static_cast<std::uint64_t>(spec->leftover_grace.value_or(config_.leftover_grace).count());
    launch.facts.command = spool::command_line(*spec, bytes);
    launch.facts.profile = spec->profile.empty() ? "local" : spec->profile;
    launch.facts.submitted_at = submitted_at;
    if (spec->submit) launch.facts.retry_of = spec->submit->retry_of.value_or(0);
    launch.facts.cpu_slot = spec->gpus == 0;
    if (!made.arguments.empty()) launch.facts.program = made.arguments.front();
    launch.facts.interprets = made.needs_script;
    return launch;
}

}  // namespace spoold
