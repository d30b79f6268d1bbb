#include "libspool/system.h"

#include <pwd.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace spool {
namespace {

Result<std::string> first_line(const char* path) {
    errno = 0;
    std::ifstream file(path);
    std::string line;
    if (!file) return system_error("read", path, errno != 0 ? errno : EIO);
    std::getline(file, line);
    return line;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

std::string entry_of(const record::Token& token) {
    std::string entry = "GPUSPOOL_TOKEN=" + to_hex(token);
    entry += '\0';
    return entry;
}

/// Empty of a process that is gone, or another user's; nothing where that cannot be found out now.
std::optional<std::string> environment_of(int pid) {
    errno = 0;
    std::ifstream file("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
    if (!file && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) return std::nullopt;
    return std::string((std::istreambuf_iterator<char>(file)), {});
}

/// Whether `matches` is true of a process; true as well where they cannot be listed.
template <typename Match>
bool find_process(Match matches) {
    std::error_code error;
    std::filesystem::directory_iterator entry("/proc", error), end;
    for (; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        if (matches(std::atoi(name.c_str()))) return true;
    }
    return static_cast<bool>(error);
}

struct ProcessStat {
    char state = 0;
    int threads = 0;
    std::uint64_t start = 0;
};

std::optional<ProcessStat> read_process(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    // The command in parentheses may hold anything: fields are counted from the last ')'.
    const std::size_t close = text.rfind(')');
    if (close == std::string::npos) return std::nullopt;
    std::istringstream fields(text.substr(close + 1));
    ProcessStat stat;
    std::string skipped;
    fields >> stat.state;
    for (int field = 4; field < 20; ++field)
        fields >> skipped;
    fields >> stat.threads >> skipped;
    if (!(fields >> stat.start)) return std::nullopt;
    return stat;
}

}  // namespace

std::int64_t wall_time() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

std::uint64_t machine_memory() {
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    return pages <= 0 || size <= 0
               ? UINT64_MAX
               : static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size);
}

std::string host_name() {
    // Read once: a program that changes its host's name while it runs would otherwise change who
    // owns the spool.
    static const std::string name = [] {
        char buffer[256] = {};
        return std::string(gethostname(buffer, sizeof buffer - 1) == 0 ? buffer : "localhost");
    }();
    return name;
}

Result<std::string> machine_id() {
    const auto id = first_line("/etc/machine-id");
    if (!id && id.error().code != ENOENT) return id;
    return id && !id->empty() ? *id : host_name();
}

Result<record::BootId> boot_id() {
    const auto text = first_line("/proc/sys/kernel/random/boot_id");
    if (!text) return tl::unexpected(text.error());
    record::BootId id{};
    std::size_t nibble = 0;
    for (const char c : *text) {
        const int digit = hex_digit(c);
        if (digit < 0 || nibble >= 2 * id.size()) continue;
        id[nibble / 2] = static_cast<std::uint8_t>(id[nibble / 2] << 4 | digit);
        ++nibble;
    }
    if (nibble == 2 * id.size()) return id;
    return content_error("/proc/sys/kernel/random/boot_id", 1, "cannot be understood");
}

std::string home_directory() {
    if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') return home;
    const passwd* entry = getpwuid(geteuid());
    return entry != nullptr ? entry->pw_dir : "/";
}

std::string user_name(std::uint32_t uid) {
    passwd entry{}, *found = nullptr;
    char buffer[4096];
    if (getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr)
        return found->pw_name;
    return "user " + std::to_string(uid);
}

std::string absolute_path(const std::string& path) {
    std::error_code ignored;
    auto full = std::filesystem::absolute(path, ignored).lexically_normal().string();
    if (full.size() > 1 && full.back() == '/') full.pop_back();
    return full;
}

record::Token random_token() {
    record::Token token{};
    // Up to 256 bytes are never given short once the pool is ready (getrandom(2)).
    while (getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) {
    }
    return token;
}

std::string random_hex() {
    return to_hex(random_token());
}

std::string to_hex(const record::Token& token) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : token) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

bool has_token(int pid, const record::Token& token) {
    return environment_of(pid).value_or("").find(entry_of(token)) != std::string::npos;
}

std::vector<int> processes_with(const record::Token& token) {
    std::vector<int> found;
    (void)find_process([&](int pid) {
        if (has_token(pid, token)) found.push_back(pid);
        return false;
    });
    return found;
}

bool token_is_alive(const record::Token& token) {
    const std::string wanted = entry_of(token);
    return find_process([&](int pid) {
        const auto environment = environment_of(pid);
        return !environment || environment->find(wanted) != std::string::npos;
    });
}

std::optional<std::uint64_t> process_start(int pid) {
    const auto stat = read_process(pid);
    return stat ? std::optional(stat->start) : std::nullopt;
}

bool process_is_alive(int pid, std::uint64_t start) {
    const auto stat = read_process(pid);
    if (!stat || stat->start != start) return false;
    // A leader that has ended while other threads go on looks like a zombie, and is none.
    return (stat->state != 'Z' && stat->state != 'X') || stat->threads > 1;
}

}  // namespace spool
