#include "libspool/login_shell.h"

#include <algorithm>
#include <array>

#include "libspool/text.h"

namespace spool {
namespace {

/// "bash" of "/bin/bash", and of "-bash", as a login shell is told its name.
std::string shell_name(const std::string& shell) {
    std::string name = base_name(shell);
    if (name.starts_with('-')) name.erase(0, 1);
    return name;
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](std::string_view prefix) { return text.starts_with(prefix); });
}

std::string single_quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

bool is_csh(const std::string& name) {
    return name == "csh" || name == "tcsh" || name == "bsd-csh";
}

/// Words that every shell, csh and fish included, understands alike. A program of its own prints
/// the environment, because exported functions (as those of Environment Modules) do not survive
/// every shell.
std::string print_command(const std::string& marker) {
    return "echo " + marker + "-begin; /usr/bin/env -0; echo " + marker + "-end";
}

/// Directories below an activated environment, whose programs must not come first in the new shell.
std::vector<std::string> activated_directories(const Environment& own) {
    std::vector<std::string> out;
    for (const auto& [name, value] : own)
        if (!value.empty() && (name.starts_with("CONDA_PREFIX") || name == "VIRTUAL_ENV"))
            out.push_back(value + "/bin");
    return out;
}

std::string path_without(const std::string& path, const std::vector<std::string>& dropped) {
    std::string out;
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        const std::string entry = path.substr(begin, end - begin);
        if (std::find(dropped.begin(), dropped.end(), entry) == dropped.end())
            out += (out.empty() ? "" : ":") + entry;
        begin = end + 1;
    }
    return out;
}

bool is_trace_of_session(std::string_view name) {
    static constexpr std::array exact = {
        "CONDA_DEFAULT_ENV",   "CONDA_PROMPT_MODIFIER", "CONDA_SHLVL", "VIRTUAL_ENV",
        "VIRTUAL_ENV_PROMPT",  "LOADEDMODULES",         "_LMFILES_",   "BASH_ENV",
        "CUDA_VISIBLE_DEVICES"};
    return std::find(exact.begin(), exact.end(), name) != exact.end() ||
           starts_with_any(name, {"CONDA_PREFIX", "__MODULES_", "_ModuleTable", "GPUSPOOL_",
                                  "SLURM_", "BASH_FUNC_"});
}

std::vector<std::string> bash_files(const std::string& home) {
    return {"/etc/profile",     "/etc/profile.d",        "/etc/bash.bashrc",
            "/etc/bashrc",      home + "/.bash_profile", home + "/.bash_login",
            home + "/.profile", home + "/.bashrc",       home + "/.bash_aliases"};
}

std::vector<std::string> zsh_files(const std::string& directory) {
    std::vector<std::string> out{"/etc/profile", "/etc/profile.d"};
    for (const char* name : {"zshenv", "zprofile", "zshrc", "zlogin"}) {
        for (const char* system : {"/etc/zsh/", "/etc/"})
            out.push_back(system + std::string(name));
        out.push_back(directory + "/." + name);
    }
    return out;
}

std::vector<std::string> fish_files(const std::string& configuration) {
    std::vector<std::string> out;
    for (const std::string& directory : {std::string("/etc/fish"), configuration + "/fish"})
        for (const char* name : {"/config.fish", "/conf.d"})
            out.push_back(directory + name);
    out.push_back(configuration + "/fish/fish_variables");
    return out;
}

std::vector<std::string> csh_files(const std::string& home) {
    return {"/etc/csh.cshrc", "/etc/csh/cshrc.d", home + "/.tcshrc", home + "/.cshrc"};
}

/// Without what a shell that sets its title before each command printed before the first variable.
std::string_view without_title(std::string_view block) {
    const std::string_view name = block.substr(0, block.find('='));
    const std::size_t control = name.find_last_of("\a\n\033");
    if (control == std::string_view::npos) return block;
    block.remove_prefix(control + 1);
    if (block.starts_with('\\')) block.remove_prefix(1);  // a title may end in ESC and a backslash
    return block;
}

std::string value_or(const Environment& environment, const std::string& name,
                     const std::string& other) {
    const auto found = environment.find(name);
    return found == environment.end() || found->second.empty() ? other : found->second;
}

}  // namespace

std::vector<std::string> login_shell_command(const std::string& shell, const std::string& marker,
                                             const std::string& bashrc) {
    const std::string name = shell_name(shell);
    std::string command = print_command(marker);
    if (is_csh(name)) return {shell, "-c", command};
    if (name == "bash" && !bashrc.empty()) {
        const std::string file = single_quoted(bashrc);
        command = "test -r " + file + " && . " + file + "; " + command;
    }
    return {shell, "-l", "-i", "-c", command};
}

Result<Environment> parse_login_output(std::string_view output, std::string_view marker) {
    // A title or a trace may repeat the command itself, but not a line that ends after the marker.
    const std::string begin_line = std::string(marker) + "-begin\n";
    const std::string end_line = std::string(marker) + "-end\n";
    const std::size_t begin = output.find(begin_line);
    if (begin == std::string_view::npos)
        return content_error({}, std::nullopt, "did not get as far as printing its environment");
    output.remove_prefix(begin + begin_line.size());
    const std::size_t end = output.find(end_line);
    const std::size_t last = output.substr(0, end).rfind('\0');
    if (end == std::string_view::npos || last == std::string_view::npos)
        return content_error({}, std::nullopt, "stopped while it printed its environment");

    Environment environment;
    output = without_title(output.substr(0, last + 1));
    for (std::size_t at = 0; at < output.size();) {
        const std::size_t stop = output.find('\0', at);
        const std::string_view entry = output.substr(at, stop - at);
        if (const std::size_t sign = entry.find('='); sign != std::string_view::npos && sign > 0)
            environment.emplace(entry.substr(0, sign), entry.substr(sign + 1));
        at = stop + 1;
    }
    return environment;
}

bool profile_reads_bashrc(std::string_view profile) {
    for (std::size_t begin = 0; begin < profile.size();) {
        const std::size_t end = std::min(profile.find('\n', begin), profile.size());
        std::string_view line = profile.substr(begin, end - begin);
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        if (!line.starts_with('#') && line.find("bashrc") != std::string_view::npos) return true;
        begin = end + 1;
    }
    return false;
}

std::vector<std::string> startup_files(const std::string& shell, const std::string& home,
                                       const Environment& environment) {
    const std::string name = shell_name(shell);
    if (name == "bash") return bash_files(home);
    if (name == "zsh") return zsh_files(value_or(environment, "ZDOTDIR", home));
    if (name == "fish")
        return fish_files(value_or(environment, "XDG_CONFIG_HOME", home + "/.config"));
    if (is_csh(name)) return csh_files(home);
    std::vector<std::string> out{"/etc/profile", "/etc/profile.d", home + "/.profile"};
    if (const std::string file = value_or(environment, "ENV", {}); !file.empty())
        out.push_back(file);
    return out;
}

Environment login_base_environment(const Environment& own) {
    const auto activated = activated_directories(own);
    Environment out;
    for (const auto& [name, value] : own)
        if (!is_trace_of_session(name))
            out.emplace(name, name == "PATH" ? path_without(value, activated) : value);
    out["TERM"] = "dumb";
    return out;
}

std::string last_error_line(std::string_view errors) {
    std::size_t end = errors.size();
    while (end > 0) {
        const std::size_t newline = errors.rfind('\n', end - 1);
        const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
        const std::string_view line = errors.substr(begin, end - begin);
        const bool noise =
            line.find("cannot set terminal process group") != std::string_view::npos ||
            line.find("no job control in this shell") != std::string_view::npos ||
            line.find("job control turned off") != std::string_view::npos ||
            line.find_first_not_of(" \t\r") == std::string_view::npos;
        if (!noise) return std::string(line);
        end = begin == 0 ? 0 : begin - 1;
    }
    return {};
}

}  // namespace spool
