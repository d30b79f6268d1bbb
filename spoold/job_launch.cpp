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
std::string output_path(const std::string& pattern, const spool::LaunchRequest& request,
                        const std::string& directory) {
    if (pattern.empty()) return {};
    spool::OutputContext context{request.number, std::nullopt, request.name, spool::host_name(),
                                 user_name()};
    if (request.task) {
        context.task = request.task->task;
        context.array = request.task->array;
    }
    const std::string path =
        spool::expand_home(spool::expand_output_pattern(pattern, context), request.home);
    return path.starts_with('/') ? path : directory + "/" + path;
}

std::uint64_t milliseconds(std::chrono::milliseconds time) {
    return static_cast<std::uint64_t>(time.count());
}

std::uint32_t flags_of(const spool::JobSpec& spec, const spool::LaunchSpec& made) {
    std::uint32_t flags = 0;
    if (made.needs_script) flags |= spool::record::writes_script;
    if (made.plain_command) flags |= spool::record::plain_command;
    if (spec.truncate_output) flags |= spool::record::truncate_output;
    if (spec.wait_for_leftovers) flags |= spool::record::wait_for_leftovers;
    return flags;
}

void add_facts(const spool::JobSpec& spec, const spool::LaunchSpec& made,
               spool::ResultFacts& facts) {
    facts.profile = spec.profile.empty() ? "local" : spec.profile;
    if (spec.submit) facts.retry_of = spec.submit->retry_of.value_or(0);
    facts.cpu_slot = spec.gpus == 0;
    if (!made.arguments.empty()) facts.program = made.arguments.front();
    facts.interprets = made.needs_script;
    facts.rules = spec.rules;
    facts.group = spec.group;
}

}  // namespace

spool::ArrayTask array_task_of(const spool::ArrayRecord& array, const spool::JobSpec& spec) {
    const auto whole = spec.submit ? spool::parse_tasks(spec.submit->array) : std::nullopt;
    return spool::array_task(array.number, 0, whole.value_or(array.tasks));
}

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
    // Read without error when it settled, and unchanged since; were it otherwise, an empty list of
    // arguments fails to start.
    const auto spec = spool::read_job_file(bytes, identity.name);
    return spec ? launch(identity, *spec, bytes, submitted_at, nullptr) : spool::Launch();
}

spool::Launch JobLauncher::launch_task(const spool::ClaimIdentity& identity, const Array& array) {
    const spool::ArrayRecord& record = array.record;
    return launch(identity, array.spec, record.job_file, record.submitted_at, &array);
}

spool::Launch JobLauncher::launch(const spool::ClaimIdentity& identity, const spool::JobSpec& spec,
                                  const std::string& bytes, std::int64_t submitted_at,
                                  const Array* array) {
    spool::Launch launch;
    launch.facts.notes = spec.notes;
    launch.facts.submitted_at = submitted_at;
    launch.facts.command = spool::command_line(spec, bytes);
    const spool::Environment& base = base_environment(spec, launch);
    const std::string script = spool::executed_script(bytes);
    const std::string& name = array != nullptr ? array->record.name : identity.name;
    spool::LaunchRequest request{
        .spec = spec,
        .config = config_,
        .base = base,
        .script = script,
        .script_path = spool_.path + "/.spool/scripts/" + identity.name + identity.extension,
        .sbatch_lines = spec.kind == spool::JobSpec::Kind::script && has_sbatch_lines(bytes),
        .number = identity.number,
        .name = spec.name.empty() ? name : spec.name,
        .token = spool::to_hex(identity.token),
        .attempt = static_cast<int>(identity.attempt),
        .spool_path = spool_.path,
        .prelude_path = spool_.path + "/.spool/env/" + std::string(spool::prelude_name),
        .home = spool::home_directory(),
        .host = spool::host_name(),
        .has_program = has_program};
    if (array != nullptr) {
        const spool::ArrayRecord& record = array->record;
        const std::uint32_t task = record.tasks[record.place_of_number(identity.number)];
        launch.facts.array = record.number;
        launch.facts.task = task;
        request.task = array->task;
        request.task->task = task;
    }
    const spool::LaunchSpec made = spool::launch_spec(request);

    launch.arguments = made.arguments;
    launch.directory = made.directory;
    for (const auto& [key, value] : made.environment)
        launch.environment.push_back(std::string(key).append("=").append(value));
    launch.output = output_path(spec.output, request, made.directory);
    launch.error_output = output_path(spec.error, request, made.directory);
    launch.flags = flags_of(spec, made);
    launch.time_limit = milliseconds(spec.time_limit.value_or(std::chrono::milliseconds(0)));
    launch.warn_signal = static_cast<std::uint32_t>(spec.warn_signal);
    launch.warn_before = milliseconds(spec.warn_before);
    launch.grace = milliseconds(spec.grace.value_or(config_.grace));
    launch.leftover_grace = milliseconds(spec.leftover_grace.value_or(config_.leftover_grace));
    add_facts(spec, made, launch.facts);
    return launch;
}

}  // namespace spoold
