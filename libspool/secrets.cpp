// Which environment variables look like secrets, and which belong to one session only.
#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/environment.h"

namespace spool {
namespace {

template <typename List>
bool contains(const List& list, std::string_view word) {
    return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

bool is_alnum(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

/// The words of a name, in capitals: "my_apiKey2" gives MY, APIKEY2.
std::vector<std::string> words_of(std::string_view name) {
    std::vector<std::string> words(1);
    for (const char c : name) {
        if (is_alnum(c))
            words.back() += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        else if (!words.back().empty())
            words.emplace_back();
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

/// Names that contain a telling word and are harmless all the same.
bool is_known_harmless(std::string_view name) {
    static constexpr std::string_view names[] = {"SSH_AUTH_SOCK",
                                                 "DESKTOP_SESSION",
                                                 "AWS_REGION",
                                                 "AWS_DEFAULT_REGION",
                                                 "AWS_PROFILE",
                                                 "AWS_DEFAULT_OUTPUT",
                                                 "AWS_PAGER",
                                                 "AWS_CA_BUNDLE",
                                                 "AWS_CONFIG_FILE",
                                                 "AWS_DEFAULT_PROFILE",
                                                 "AWS_EC2_METADATA_DISABLED",
                                                 "AWS_SHARED_CREDENTIALS_FILE"};
    return contains(names, name);
}

/// Whether such a value could be a secret at all: not a switch, a small number, or where a file is.
bool is_plain_value(const std::vector<std::string>& words, std::string_view value) {
    static constexpr std::string_view switches[] = {"true", "false", "yes",   "no",  "on",
                                                    "off",  "True",  "False", "auto"};
    if (value.size() <= 1 || contains(switches, value)) return true;
    static constexpr std::string_view places[] = {"FILE", "PATH", "DIR", "SOCK", "CREDENTIALS"};
    if (value.front() == '/' && contains(places, words.back())) return true;
    const bool number =
        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    return number && (words.back() == "TOKENS" || words.back() == "SESSION");
}

/// Words that tell also as a part of a longer word (GITHUBTOKEN), but not in "tokenizer".
bool has_telling_part(std::string_view word) {
    static constexpr std::string_view parts[] = {"SECRET",     "PASSWORD",   "PASSWD",
                                                 "PASSPHRASE", "CREDENTIAL", "APIKEY",
                                                 "ACCESSKEY",  "PRIVATEKEY"};
    for (const std::string_view part : parts)
        if (word.find(part) != word.npos) return true;
    const auto token = word.find("TOKEN");
    if (token == word.npos) return false;
    const std::string_view rest = word.substr(token + 5);
    return !rest.starts_with("IZ") && !rest.starts_with("IS");
}

bool is_telling_name(const std::vector<std::string>& words) {
    static constexpr std::string_view telling[] = {"AUTH", "AUTHORIZATION", "CREDS",  "PASS",
                                                   "PWD",  "COOKIE",        "COOKIES"};
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string_view word = words[i];
        if (contains(telling, word) || has_telling_part(word)) return true;
        const bool last = i + 1 == words.size();
        const std::string_view next = last ? std::string_view() : std::string_view(words[i + 1]);
        if (next.starts_with("KEY") && (word == "API" || word == "ACCESS" || word == "PRIVATE"))
            return true;
        if (word == "SESSION" && (last || next == "ID")) return words.size() > 1;
        if (last && i > 0 && (word == "KEY" || word == "KEYS" || word == "PAT")) return true;
    }
    return words.front() == "AWS";
}

bool is_telling_name(std::string_view name, std::string_view value) {
    if (name.starts_with("BASH_FUNC_"))
        return false;  // an exported function: its name says nothing
    if (is_known_harmless(name)) return false;
    const std::vector<std::string> words = words_of(name);
    return !words.empty() && !is_plain_value(words, value) && is_telling_name(words);
}

struct Pattern {
    std::string_view prefix;
    std::size_t following;  ///< so many letters, digits, '-' and '_' must follow
};
constexpr Pattern token_patterns[] = {
    {"ghp_", 20},  {"gho_", 20},   {"ghu_", 20}, {"ghs_", 20},  {"ghr_", 20},  {"github_pat_", 20},
    {"sk-", 16},   {"AKIA", 16},   {"ASIA", 16}, {"hf_", 20},   {"xoxb-", 10}, {"xoxp-", 10},
    {"xoxa-", 10}, {"glpat-", 16}, {"npm_", 30}, {"pypi-", 30}, {"AIza", 30},  {"eyJhbGciOi", 20}};

bool has_token(std::string_view value, const Pattern& pattern) {
    for (auto at = value.find(pattern.prefix); at != value.npos;
         at = value.find(pattern.prefix, at + 1)) {
        if (at > 0 && is_alnum(value[at - 1])) continue;
        const std::string_view rest = value.substr(at + pattern.prefix.size());
        const auto end = std::find_if(rest.begin(), rest.end(),
                                      [](char c) { return !is_alnum(c) && c != '-' && c != '_'; });
        if (static_cast<std::size_t>(end - rest.begin()) >= pattern.following) return true;
    }
    return false;
}

/// "scheme://user:password@host" anywhere in it.
bool has_url_with_password(std::string_view value) {
    for (auto at = value.find("://"); at != value.npos; at = value.find("://", at + 3)) {
        std::string_view authority = value.substr(at + 3);
        authority = authority.substr(0, authority.find_first_of("/ \t\n\"'"));
        const auto host = authority.rfind('@');
        if (host == authority.npos) continue;
        const auto colon = authority.substr(0, host).find(':');
        if (colon != authority.npos && colon + 1 < host) return true;
    }
    return false;
}

bool is_telling_value(std::string_view value) {
    if (value.find("-----BEGIN ") != value.npos && value.find("PRIVATE KEY") != value.npos)
        return true;
    if (has_url_with_password(value)) return true;
    return std::any_of(std::begin(token_patterns), std::end(token_patterns),
                       [&](const Pattern& pattern) { return has_token(value, pattern); });
}

}  // namespace

bool looks_secret(std::string_view name, std::string_view value) {
    return is_telling_name(name, value) || is_telling_value(value);
}

bool is_session_variable(std::string_view name) {
    static constexpr std::string_view names[] = {"_",
                                                 "SHLVL",
                                                 "PWD",
                                                 "OLDPWD",
                                                 "COLUMNS",
                                                 "LINES",
                                                 "DISPLAY",
                                                 "WAYLAND_DISPLAY",
                                                 "WAYLAND_SOCKET",
                                                 "XAUTHORITY",
                                                 "TMUX",
                                                 "TMUX_PANE",
                                                 "STY",
                                                 "WINDOW",
                                                 "WINDOWID",
                                                 "SSH_AUTH_SOCK",
                                                 "SSH_AGENT_PID",
                                                 "SSH_CLIENT",
                                                 "SSH_CONNECTION",
                                                 "SSH_TTY",
                                                 "GPG_TTY",
                                                 "GPG_AGENT_INFO",
                                                 "SESSION_MANAGER",
                                                 "DBUS_SESSION_BUS_ADDRESS",
                                                 "DESKTOP_SESSION",
                                                 "DESKTOP_STARTUP_ID",
                                                 "XDG_ACTIVATION_TOKEN",
                                                 "XDG_SEAT",
                                                 "XDG_VTNR",
                                                 "INVOCATION_ID",
                                                 "JOURNAL_STREAM",
                                                 "NOTIFY_SOCKET",
                                                 "MANAGERPID",
                                                 "SYSTEMD_EXEC_PID",
                                                 "LISTEN_FDS",
                                                 "LISTEN_PID",
                                                 "LISTEN_FDNAMES",
                                                 "WATCHDOG_PID",
                                                 "WATCHDOG_USEC",
                                                 "VTE_VERSION",
                                                 "TERM_SESSION_ID",
                                                 "WT_SESSION",
                                                 "SUDO_COMMAND"};
    static constexpr std::string_view prefixes[] = {
        "XDG_SESSION_", "SLURM_",        "SLURMD_",      "SBATCH_",         "PMI_",
        "PMIX_",        "GPUSPOOL_JOB_", "KDE_SESSION_", "GNOME_TERMINAL_", "KONSOLE_",
        "KITTY_",       "WEZTERM_",      "TERM_PROGRAM"};
    if (contains(names, name) || name == "GPUSPOOL_TOKEN") return true;
    return std::any_of(std::begin(prefixes), std::end(prefixes),
                       [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace spool
