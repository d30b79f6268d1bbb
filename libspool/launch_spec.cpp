#include "libspool/launch_spec.h"

#include <algorithm>
#include <array>

#include "libspool/plain_command.h"
#include "libspool/prelude.h"
#include "libspool/text.h"

namespace spool {
namespace {

constexpr std::string_view blanks = " \t";

/// The parts that are not empty.
std::vector<std::string> words_of(std::string_view text, std::string_view separators = blanks) {
    std::vector<std::string> out;
    for (std::size_t begin = text.find_first_not_of(separators); begin != std::string_view::npos;) {
        const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
        out.emplace_back(text.substr(begin, end - begin));
        begin = text.find_first_not_of(separators, end);
    }
    return out;
}

void append(std::vector<std::string>& list, const std::vector<std::string>& more) {
    list.insert(list.end(), more.begin(), more.end());
}

const std::vector<std::string> bash = {"bash", "-eo", "pipefail"};

std::vector<std::string> default_shell(const LaunchRequest& request) {
    if (request.has_program && !request.has_program("bash")) return {"sh", "-e"};
    return bash;
}

/// What the script's path is appended to. The script is given as an argument even where it has a
/// `#!` line, so that neither a file system mounted noexec nor a missing permission matters.
std::vector<std::string> interpreter_of(const LaunchRequest& request) {
    const JobSpec& spec = request.spec;
    for (const auto& words : {words_of(spec.shell), split_interpreter(spec.interpreter),
                              words_of(request.config.shell)})
        if (!words.empty()) return words;
    return default_shell(request);
}

/// Whether BASH_ENV is read: "bash -e", "/bin/bash", "/usr/bin/env bash", "/usr/bin/env -S bash
/// -e".
bool runs_bash(const std::vector<std::string>& arguments) {
    if (arguments.empty()) return false;
    if (base_name(arguments.front()) != "env") return base_name(arguments.front()) == "bash";
    for (std::size_t i = 1; i < arguments.size(); ++i)
        for (const std::string& word : words_of(arguments[i])) {
            if (word.starts_with('-') || word.find('=') != std::string::npos) continue;
            return base_name(word) == "bash";
        }
    return false;
}

bool has_activation(const JobSpec& spec) {
    return !spec.conda_environment.empty() || !spec.virtual_environment.empty() ||
           !spec.modules.empty();
}

/// Layers of variables, each above the last: later ones win.
class Variables {
public:
    explicit Variables(const LaunchRequest& request) : base_(request.base) {}

    void set(const std::string& name, std::string value) { overrides_[name] = std::move(value); }
    void set_all(const std::map<std::string, std::string>& values) {
        for (const auto& [name, value] : values)
            set(name, value);
    }
    void set_default(const std::string& name, const std::string& value) {
        if (find(name) == nullptr) set(name, value);
    }
    [[nodiscard]] const std::string* find(const std::string& name) const {
        for (const Environment* layer : {&overrides_, &base_})
            if (const auto found = layer->find(name); found != layer->end()) return &found->second;
        return nullptr;
    }
    Environment take() { return std::move(overrides_); }

private:
    const Environment& base_;
    Environment overrides_;
};

void set_job_variables(const LaunchRequest& request, Variables& variables) {
    variables.set("GPUSPOOL_JOB_ID", std::to_string(request.number));
    variables.set("GPUSPOOL_JOB_NAME", request.name);
    variables.set("GPUSPOOL_DIR", request.spool_path);
    variables.set("GPUSPOOL_TOKEN", request.token);
    variables.set("GPUSPOOL_ATTEMPT", std::to_string(request.attempt));
}

/// Under Slurm's names too, whether or not it has #SBATCH lines: scripts for arrays read them.
void set_task_variables(const ArrayTask& task, Variables& variables) {
    const std::pair<const char*, std::uint64_t> values[] = {
        {"JOB_ID", task.array},   {"TASK_ID", task.task},  {"TASK_COUNT", task.count},
        {"TASK_MIN", task.least}, {"TASK_MAX", task.most}, {"TASK_STEP", task.step}};
    for (const std::string prefix : {"SLURM_ARRAY_", "GPUSPOOL_ARRAY_"})
        for (const auto& [name, value] : values)
            variables.set(prefix + name, std::to_string(value));
}

void set_defaults(const LaunchRequest& request, Variables& variables) {
    const std::string port = std::to_string(master_port(request.number));
    variables.set_default("PYTHONUNBUFFERED", "1");
    variables.set_default("MASTER_PORT", port);
    variables.set_default("PET_MASTER_PORT", port);
}

/// What scripts written for sbatch read, and what Open MPI's mpirun needs once it sees a job's
/// number. No more than that: libraries that see SLURM_PROCID and the like look for other tasks.
void set_slurm_variables(const LaunchRequest& request, Variables& variables) {
    const auto& submit = request.spec.submit;
    const std::string number = std::to_string(request.number);
    variables.set("SLURM_JOB_ID", number);
    variables.set("SLURM_JOBID", number);
    variables.set("SLURM_JOB_NAME", request.name);
    variables.set("SLURM_SUBMIT_DIR", submit && !submit->directory.empty()
                                          ? submit->directory
                                          : job_directory({}, request.config, request.home));
    if (request.spec.cpus) variables.set("SLURM_CPUS_PER_TASK", std::to_string(*request.spec.cpus));
    const std::string tasks = std::to_string(std::max(1, request.spec.tasks));
    for (const char* name : {"SLURM_JOB_NODELIST", "SLURM_NODELIST"})
        variables.set(name, request.host);
    for (const char* name : {"SLURM_JOB_NUM_NODES", "SLURM_NNODES"})
        variables.set(name, "1");
    variables.set("SLURM_TASKS_PER_NODE", tasks);
    if (request.spec.tasks == 0) return;
    for (const char* name : {"SLURM_NTASKS", "SLURM_NPROCS"})
        variables.set(name, tasks);
}

/// Makes bash read the prelude, which finds the original BASH_ENV under another name.
void set_prelude(const LaunchRequest& request, const std::string& tools, Variables& variables) {
    const JobSpec& spec = request.spec;
    if (const std::string* original = variables.find("BASH_ENV"))
        variables.set("GPUSPOOL_BASH_ENV", *original);
    variables.set("BASH_ENV", request.prelude_path);
    variables.set("GPUSPOOL_PRELUDE", tools);
    if (!spec.modules.empty()) variables.set("GPUSPOOL_MODULES", joined(spec.modules, "\n"));
    if (!spec.conda_environment.empty())
        variables.set("GPUSPOOL_CONDA_ENV", expand_home(spec.conda_environment, request.home));
    if (!spec.virtual_environment.empty())
        variables.set("GPUSPOOL_VENV", expand_home(spec.virtual_environment, request.home));
}

std::string wanted_tools(const LaunchRequest& request, bool bash_script) {
    std::vector<std::string> tools;
    if (bash_script) tools = mentioned_tools(request.script);
    if (!request.spec.conda_environment.empty())
        tools.insert(tools.end(), {"conda", "mamba", "micromamba"});
    if (!request.spec.modules.empty()) tools.emplace_back("module");
    std::sort(tools.begin(), tools.end());
    tools.erase(std::unique(tools.begin(), tools.end()), tools.end());
    return joined(tools, " ");
}

Environment environment_of(const LaunchRequest& request, bool prelude, const std::string& tools) {
    Variables variables(request);
    if (request.spec.cpus) variables.set("OMP_NUM_THREADS", std::to_string(*request.spec.cpus));
    if (request.sbatch_lines) set_slurm_variables(request, variables);
    variables.set_all(request.config.environment);
    variables.set_all(request.spec.environment);
    set_defaults(request, variables);
    set_job_variables(request, variables);
    if (request.task) set_task_variables(*request.task, variables);
    variables.set("PWD", job_directory(request.spec, request.config, request.home));
    if (prelude) set_prelude(request, tools, variables);
    return variables.take();
}

/// Whether nothing in the job's environment makes bash something else than it is by default, or
/// `program` a function.
bool is_ordinary_bash(const LaunchRequest& request, const Environment& overrides,
                      const std::string& program) {
    const std::array names = {std::string("BASH_ENV"), std::string("SHELLOPTS"),
                              std::string("BASHOPTS"), std::string("POSIXLY_CORRECT"),
                              "BASH_FUNC_" + program + "%%"};
    // bash takes the tilde in PATH="~/bin" for the home directory, execve does not.
    const auto has_tilde = [](const Environment& layer) {
        const auto path = layer.find("PATH");
        return path != layer.end() && path->second.find('~') != std::string::npos;
    };
    return !has_tilde(request.base) && !has_tilde(overrides) &&
           std::none_of(names.begin(), names.end(), [&](const std::string& name) {
               return request.base.contains(name) || overrides.contains(name);
           });
}

/// Completes the arguments, which name the interpreter so far. With its path as an argument a
/// script needs no permission; a plain command needs no script.
void add_script(const LaunchRequest& request, const std::vector<std::string>& script_arguments,
                LaunchSpec& out) {
    if (out.arguments == bash && script_arguments.empty()) {
        const auto command = plain_command(request.script);
        if (command && is_ordinary_bash(request, out.environment,
                                        command->substr(0, command->find_first_of(blanks)))) {
            append(out.arguments, {"-c", *command});
            out.plain_command = true;
            return;
        }
    }
    out.needs_script = true;
    out.arguments.push_back(request.script_path);
    append(out.arguments, script_arguments);
}

}  // namespace

std::string expand_home(const std::string& path, const std::string& home) {
    return path == "~" || path.starts_with("~/") ? home + path.substr(1) : path;
}

std::string job_directory(const JobSpec& spec, const Config& config, const std::string& home) {
    std::string start = home;
    if (!config.directory.empty()) start = expand_home(config.directory, home);
    if (spec.submit && !spec.submit->directory.empty()) start = spec.submit->directory;
    if (spec.directory.empty()) return start;
    const std::string wanted = expand_home(spec.directory, home);
    return wanted.starts_with('/') || wanted.starts_with('~') ? wanted : start + "/" + wanted;
}

std::vector<std::string> split_interpreter(std::string_view line) {
    const std::size_t begin = line.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    line = line.substr(begin, line.find_last_not_of(blanks) + 1 - begin);
    const std::size_t end = std::min(line.find_first_of(blanks), line.size());
    std::vector<std::string> out{std::string(line.substr(0, end))};
    const std::size_t argument = line.find_first_not_of(blanks, end);
    if (argument != std::string_view::npos) out.emplace_back(line.substr(argument));
    return out;
}

ArrayTask array_task(std::uint64_t array, std::uint64_t task, const TaskList& tasks) {
    return {array, task, tasks.size(), tasks.front(), tasks.back(), step_of(tasks)};
}

int master_port(std::uint64_t number) {
    constexpr std::uint64_t stride = 7919;  // has no divisor in common with the range
    return static_cast<int>(20000 + number % 10000 * stride % 10000);
}

LaunchSpec launch_spec(const LaunchRequest& request) {
    LaunchSpec out;
    const bool script = request.spec.kind == JobSpec::Kind::script;
    out.arguments = script ? interpreter_of(request) : request.spec.command;
    const bool bash_script = script && runs_bash(out.arguments);
    const bool activation = has_activation(request.spec);
    const std::string tools = wanted_tools(request, bash_script);
    out.environment = environment_of(request, activation || !tools.empty(), tools);
    out.directory = job_directory(request.spec, request.config, request.home);
    const auto& submit = request.spec.submit;
    if (script) add_script(request, submit ? submit->arguments : std::vector<std::string>(), out);
    if (activation && !bash_script) {
        // bash reads the prelude and becomes the job: the arguments stay a list.
        static constexpr std::array wrapper = {"bash", "-c", "exec \"$@\"", "gpuspool"};
        out.arguments.insert(out.arguments.begin(), wrapper.begin(), wrapper.end());
    }
    return out;
}

Environment gpu_environment(const std::vector<std::string>& slots, GpuVendor vendor) {
    std::vector<std::string> named = slots;
    std::erase(named, "");
    const std::string list = joined(named, ",");
    if (vendor == GpuVendor::nvidia)
        return {{"CUDA_DEVICE_ORDER", "PCI_BUS_ID"},
                {"CUDA_VISIBLE_DEVICES", list},
                {"NVIDIA_VISIBLE_DEVICES", list.empty() ? "void" : list}};
    std::vector<std::string> indexes;
    const std::size_t count = words_of(list, ",").size();
    for (std::size_t index = 0; index < count; ++index)
        indexes.push_back(std::to_string(index));
    const std::string relative = joined(indexes, ",");
    return {{"ROCR_VISIBLE_DEVICES", list},
            {"HIP_VISIBLE_DEVICES", relative},
            {"CUDA_VISIBLE_DEVICES", relative}};
}

}  // namespace spool
