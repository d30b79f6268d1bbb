#include "libspool/sbatch_options.h"

#include <vector>

#include "libspool/names.h"
#include "libspool/settings.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {

namespace {

constexpr std::int64_t most_tasks = 65'536;

using Takes = SbatchOption::Takes;
using Meaning = SbatchOption::Meaning;

constexpr SbatchOption options[] = {
    {"job-name", 'J', Takes::value, Meaning::set, "name"},
    {"cpus-per-task", 'c', Takes::value, Meaning::set, "cpus"},
    {"mem", 0, Takes::value, Meaning::set, "mem"},
    {"time", 't', Takes::value, Meaning::set, "time"},
    {"output", 'o', Takes::value, Meaning::set, "output"},
    {"error", 'e', Takes::value, Meaning::set, "error"},
    {"open-mode", 0, Takes::value, Meaning::set, "open-mode"},
    {"chdir", 'D', Takes::value, Meaning::set, "chdir"},

    {"gres", 0, Takes::value, Meaning::gres},
    {"gpus", 'G', Takes::value, Meaning::gpus},
    {"gpus-per-node", 0, Takes::value, Meaning::gpus},
    {"gpus-per-task", 0, Takes::value, Meaning::gpus},
    {"nice", 0, Takes::optional, Meaning::nice},
    {"export", 0, Takes::value, Meaning::exports},
    {"nodes", 'N', Takes::value, Meaning::nodes},
    {"ntasks", 'n', Takes::value, Meaning::ntasks},

    {"dependency", 'd', Takes::value, Meaning::set, "dependency"},
    {"array", 'a', Takes::value, Meaning::set, "array"},
    {"begin", 'b', Takes::value, Meaning::set, "begin"},
    {"signal", 0, Takes::value, Meaning::set, "signal"},
    {"hold", 'H', Takes::nothing, Meaning::hold},
    {"requeue", 0, Takes::nothing, Meaning::requeue},
    {"no-requeue", 0, Takes::nothing, Meaning::no_requeue},
    {"mem-per-cpu", 0, Takes::value, Meaning::memory_per_cpu},
    {"mem-per-gpu", 0, Takes::value, Meaning::memory_per_gpu},
    {"input", 'i', Takes::value, Meaning::refuse},
    {"container", 0, Takes::value, Meaning::refuse},
    {"export-file", 0, Takes::value, Meaning::refuse},
    {"gpus-per-socket", 0, Takes::value, Meaning::refuse},
    {"test-only", 0, Takes::nothing, Meaning::refuse},
    {"wrap", 0, Takes::value, Meaning::refuse},

    {"account", 'A', Takes::value, Meaning::note},
    {"acctg-freq", 0, Takes::value, Meaning::note},
    {"batch", 0, Takes::value, Meaning::note},
    {"bb", 0, Takes::value, Meaning::note},
    {"bbf", 0, Takes::value, Meaning::note},
    {"cluster-constraint", 0, Takes::value, Meaning::note},
    {"clusters", 'M', Takes::value, Meaning::note},
    {"comment", 0, Takes::value, Meaning::note},
    {"constraint", 'C', Takes::value, Meaning::note},
    {"contiguous", 0, Takes::nothing, Meaning::note},
    {"core-spec", 'S', Takes::value, Meaning::note},
    {"cores-per-socket", 0, Takes::value, Meaning::note},
    {"cpu-freq", 0, Takes::value, Meaning::note},
    {"cpus-per-gpu", 0, Takes::value, Meaning::note},
    {"deadline", 0, Takes::value, Meaning::note},
    {"delay-boot", 0, Takes::value, Meaning::note},
    {"distribution", 'm', Takes::value, Meaning::note},
    {"exclude", 'x', Takes::value, Meaning::note},
    {"exclusive", 0, Takes::optional, Meaning::note},
    {"extra-node-info", 'B', Takes::value, Meaning::note},
    {"get-user-env", 0, Takes::optional, Meaning::note},
    {"gid", 0, Takes::value, Meaning::note},
    {"gpu-bind", 0, Takes::value, Meaning::note},
    {"gpu-freq", 0, Takes::value, Meaning::note},
    {"gres-flags", 0, Takes::value, Meaning::note},
    {"help", 'h', Takes::nothing, Meaning::note},
    {"hint", 0, Takes::value, Meaning::note},
    {"ignore-pbs", 0, Takes::nothing, Meaning::note},
    {"immediate", 'I', Takes::optional, Meaning::note},
    {"kill-on-invalid-dep", 0, Takes::value, Meaning::note},
    {"licenses", 'L', Takes::value, Meaning::note},
    {"mail-type", 0, Takes::value, Meaning::note},
    {"mail-user", 0, Takes::value, Meaning::note},
    {"mcs-label", 0, Takes::value, Meaning::note},
    {"mem-bind", 0, Takes::value, Meaning::note},
    {"mincpus", 0, Takes::value, Meaning::note},
    {"network", 0, Takes::value, Meaning::note},
    {"no-kill", 'k', Takes::optional, Meaning::note},
    {"nodefile", 'F', Takes::value, Meaning::note},
    {"nodelist", 'w', Takes::value, Meaning::note},
    {"ntasks-per-core", 0, Takes::value, Meaning::note},
    {"ntasks-per-gpu", 0, Takes::value, Meaning::note},
    {"ntasks-per-node", 0, Takes::value, Meaning::ntasks},
    {"ntasks-per-socket", 0, Takes::value, Meaning::note},
    {"overcommit", 'O', Takes::nothing, Meaning::note},
    {"oversubscribe", 's', Takes::nothing, Meaning::note},
    {"parsable", 0, Takes::nothing, Meaning::note},
    {"partition", 'p', Takes::value, Meaning::note},
    {"power", 0, Takes::value, Meaning::note},
    {"prefer", 0, Takes::value, Meaning::note},
    {"priority", 0, Takes::value, Meaning::note},
    {"profile", 0, Takes::value, Meaning::note},
    {"propagate", 0, Takes::optional, Meaning::note},
    {"qos", 'q', Takes::value, Meaning::note},
    {"quiet", 'Q', Takes::nothing, Meaning::note},
    {"reboot", 0, Takes::nothing, Meaning::note},
    {"reservation", 0, Takes::value, Meaning::note},
    {"sockets-per-node", 0, Takes::value, Meaning::note},
    {"spread-job", 0, Takes::nothing, Meaning::note},
    {"switches", 0, Takes::value, Meaning::note},
    {"thread-spec", 0, Takes::value, Meaning::note},
    {"threads-per-core", 0, Takes::value, Meaning::note},
    {"time-min", 0, Takes::value, Meaning::note},
    {"tmp", 0, Takes::value, Meaning::note},
    {"uid", 0, Takes::value, Meaning::note},
    {"usage", 0, Takes::nothing, Meaning::note},
    {"use-min-nodes", 0, Takes::nothing, Meaning::note},
    {"verbose", 'v', Takes::nothing, Meaning::note},
    {"version", 'V', Takes::nothing, Meaning::note},
    {"wait", 'W', Takes::nothing, Meaning::note},
    {"wait-all-nodes", 0, Takes::value, Meaning::note},
    {"wckey", 0, Takes::value, Meaning::note},
};

std::string shown(const SbatchOption& option) {
    return "--" + std::string(option.name);
}

std::string shown(const SbatchOption& option, std::string_view value) {
    return shown(option) + (value.empty() ? "" : "=" + printable(value.substr(0, 100)));
}

SbatchEffect problem(std::string text) {
    return {std::move(text), std::nullopt};
}
SbatchEffect note(std::string text) {
    return {std::nullopt, std::move(text)};
}

SbatchEffect ignored(const SbatchOption& option, std::string_view value) {
    return note(shown(option, value) + " has no meaning here and is ignored");
}

SbatchEffect apply_setting(const SbatchOption& option, std::string_view name,
                           std::string_view value, JobSpec& spec) {
    const Setting& setting = *find_setting(name);
    if (setting.apply(spec, value)) return {};
    return problem(bad_value(setting, shown(option), value));
}

/// "2", "a100:2", "a100" (one): adds to `count` and remembers the kind.
bool add_gpus(std::string_view text, std::int64_t& count, std::string_view& kind) {
    const std::size_t colon = text.rfind(':');
    const std::string_view last = colon == text.npos ? text : text.substr(colon + 1);
    const auto number = parse_integer(last);
    if (text.empty() || last.empty() || (!number && colon != text.npos)) return false;
    if (number && (*number < 0 || *number > 1024 || *number + count > 1024)) return false;
    count += number.value_or(1);
    if (!number) kind = text;
    if (number && colon != text.npos) kind = text.substr(0, colon);
    return true;
}

SbatchEffect kind_note(std::string_view kind) {
    if (kind.empty()) return {};
    return note("the GPU kind '" + printable(kind) +
                "' is a name of the cluster, and not looked at here: '#SPOOL --gpu-type=' is");
}

SbatchEffect apply_gpus(const SbatchOption& option, std::string_view value, JobSpec& spec) {
    std::int64_t count = 0;
    std::string_view kind;
    for (const std::string_view item : split_at(value, ','))
        if (!add_gpus(item, count, kind) || kind == item)
            return problem(shown(option, value) +
                           ": expected a number from 0 to 1024, or KIND:NUMBER");
    spec.gpus = static_cast<int>(count);
    return kind_note(kind);
}

SbatchEffect apply_gres(const SbatchOption& option, std::string_view value, JobSpec& spec) {
    std::int64_t count = 0;
    std::string_view kind;
    bool found = value == "none";
    std::vector<std::string> others;
    for (std::string_view item : split_at(value, ',')) {
        if (item.starts_with("gres:") || item.starts_with("gres/")) item.remove_prefix(5);
        if (item == "gpu") {
            ++count;
        } else if (!item.starts_with("gpu:")) {
            if (item != "none" && !item.empty()) others.emplace_back(item);
            continue;
        } else if (!add_gpus(item.substr(4), count, kind)) {
            return problem(shown(option, value) + ": expected gpu, gpu:NUMBER or gpu:KIND:NUMBER");
        }
        found = true;
    }
    if (found) spec.gpus = static_cast<int>(count);
    return others.empty() ? kind_note(kind) : ignored(option, joined(others, ","));
}

/// Slurm's nice lowers the priority; without a value by 100.
SbatchEffect apply_nice(const SbatchOption& option, std::string_view value, JobSpec& spec) {
    const auto nice = value.empty() ? 100 : parse_integer(value);
    if (!nice || *nice < -1'000'000'000 || *nice > 1'000'000'000)
        return problem(shown(option, value) + ": expected a number from -1000000000 to 1000000000");
    spec.priority = -static_cast<int>(*nice);
    return {};
}

SbatchEffect apply_exports(const SbatchOption& option, std::string_view value, JobSpec& spec) {
    std::vector<std::string> others;
    for (const std::string_view item : split_at(value, ',')) {
        if (item == "ALL" || item.empty() || find_setting("env")->apply(spec, item)) continue;
        others.emplace_back(item);
    }
    if (others.empty()) return {};
    return note(shown(option, joined(others, ",")) +
                " is ignored: the job gets the whole environment");
}

SbatchEffect apply_memory(const SbatchOption& option, std::string_view value,
                          std::optional<std::uint64_t>& memory) {
    memory = parse_memory(value);
    if (memory) return {};
    return problem(shown(option, value) + ": expected " +
                   std::string(find_setting("mem")->accepted));
}

SbatchEffect apply_nodes(const SbatchOption& option, std::string_view value) {
    const auto least = parse_integer(value.substr(0, value.find('-')));
    if (least && *least <= 1) return ignored(option, value);
    return problem(shown(option, value) + " is not supported: a spool runs jobs on one machine");
}

/// The script is run once, as everywhere; srun, which would start them, is a plain prefix here.
SbatchEffect apply_ntasks(const SbatchOption& option, std::string_view value, JobSpec& spec) {
    const auto number = parse_integer(value);
    if (!number || *number < 1 || *number > most_tasks)
        return problem(shown(option, value) + ": expected a number from 1 to " +
                       std::to_string(most_tasks));
    spec.tasks = std::max(spec.tasks, static_cast<int>(*number));
    if (*number == 1) return {};
    return note(shown(option, value) + ": mpirun has room for so many; srun starts one task here");
}

}  // namespace

const SbatchOption* find_sbatch_option(std::string_view name) {
    const SbatchOption* abbreviated = nullptr;
    int matches = 0;
    for (const SbatchOption& option : options) {
        if (option.name == name) return &option;
        if (name.empty() || !option.name.starts_with(name)) continue;
        abbreviated = &option;
        ++matches;
    }
    return matches == 1 ? abbreviated : nullptr;
}

const SbatchOption* find_sbatch_option(char letter) {
    for (const SbatchOption& option : options)
        if (letter != 0 && option.letter == letter) return &option;
    return nullptr;
}

SbatchEffect apply_sbatch_option(const SbatchOption& option, std::string_view value,
                                 JobSpec& spec) {
    switch (option.meaning) {
        case Meaning::set:
            return apply_setting(option, option.setting, value, spec);
        case Meaning::gres:
            return apply_gres(option, value, spec);
        case Meaning::gpus:
            return apply_gpus(option, value, spec);
        case Meaning::nice:
            return apply_nice(option, value, spec);
        case Meaning::exports:
            return apply_exports(option, value, spec);
        case Meaning::nodes:
            return apply_nodes(option, value);
        case Meaning::ntasks:
            return apply_ntasks(option, value, spec);
        case Meaning::hold:
            spec.held = true;
            return {};
        case Meaning::requeue:
        case Meaning::no_requeue:
            spec.rules.requeue = option.meaning == Meaning::requeue;
            return {};
        case Meaning::memory_per_cpu:
            return apply_memory(option, value, spec.memory_per_cpu);
        case Meaning::memory_per_gpu:
            return apply_memory(option, value, spec.memory_per_gpu);
        case Meaning::note:
            return ignored(option, value);
        case Meaning::refuse:
            break;
    }
    return problem(shown(option) + " is not supported by this version of gpuspool");
}

}  // namespace spool
