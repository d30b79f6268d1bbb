#include "libspool/machine_rules.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "libspool/json_text.h"
#include "libspool/keyed_object.h"
#include "libspool/lock_directory.h"
#include "libspool/names.h"
#include "libspool/settings.h"
#include "libspool/utf8.h"
#include "libspool/values.h"

namespace spool {
namespace {

using Json = nlohmann::json;

constexpr std::size_t largest_config = 1 << 20, longest_reason = 200;
constexpr int most_gpus = 1024;

std::optional<int> as_limit(const Json& value) {
    return number_up_to(most_gpus, value);
}

bool set_max_gpus(MachineRules& rules, const Json& value) {
    rules.max_gpus = as_limit(value);
    return rules.max_gpus.has_value();
}

bool set_users(MachineRules& rules, const Json& value) {
    if (!value.is_object()) return false;
    for (const auto& [name, entry] : value.items()) {
        const auto limit = as_limit(entry);
        if (!limit) return false;
        rules.users[name] = *limit;
    }
    return true;
}

bool set_gpus(MachineRules& rules, const Json& value) {
    if (!value.is_array()) return false;
    std::vector<std::string> gpus;
    for (const Json& entry : value) {
        if (!entry.is_string() && !as_limit(entry)) return false;
        gpus.push_back(entry.is_string() ? entry.get<std::string>() : entry.dump());
    }
    rules.gpus = std::move(gpus);
    return true;
}

constexpr ObjectKey<MachineRules> keys[] = {
    {"max_gpus", "a number from 0 to 1024", set_max_gpus},
    {"users", "an object such as {\"ada\": 4}, of numbers from 0 to 1024", set_users},
    {"gpus", "a list such as [0, 1] or [\"GPU-…\"]", set_gpus},
};

/// Why a file is not obeyed; empty if it is.
std::string distrust(const struct stat& status, std::uint32_t owner) {
    if (status.st_uid != owner) return "is not obeyed: it does not belong to root";
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "is not obeyed: others may write it (chmod go-w it, as root)";
    return {};
}

Result<std::string> read_all(int fd, const std::string& path, std::size_t limit) {
    std::string bytes(limit + 1, '\0');
    const ssize_t size = pread(fd, bytes.data(), bytes.size(), 0);
    if (size < 0) return system_error("read", path, errno);
    bytes.resize(static_cast<std::size_t>(size));
    if (bytes.size() > limit) return content_error(path, {}, "is larger than 1 MiB");
    return bytes;
}

/// The first line, harmless, and not longer than a status line may be.
std::string one_line(std::string_view text) {
    text = text.substr(0, text.find('\n'));
    const auto begin = text.find_first_not_of(" \t\r"), end = text.find_last_not_of(" \t\r");
    if (begin == text.npos) return {};
    return shorten_utf8(printable(text.substr(begin, end - begin + 1)), longest_reason);
}

/// Only what nobody but root can have written.
std::string drain_text(const std::string& path, std::uint32_t owner) {
    const Descriptor fd(
        ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    struct stat status {};
    if (!fd || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
    if (!distrust(status, owner).empty()) return {};
    std::string text(4 * longest_reason, '\0');
    const ssize_t size = pread(fd.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return one_line(text);
}

}  // namespace

std::optional<int> MachineRules::limit_of(const std::string& user) const {
    const auto own = users.find(user);
    return own != users.end() ? own->second : max_gpus;
}

Result<MachineRules> read_machine_rules(std::string_view bytes, const std::string& path) {
    const std::string text = without_comments(bytes);
    const auto json = parse_json(text, path);
    if (!json) return tl::unexpected(json.error());
    if (!json->is_object())
        return content_error(path, 1, "the rules are one object: {\"max_gpus\": 2}");
    MachineRules rules;
    if (auto read = read_keyed_object(rules, *json, text, path, keys); !read)
        return tl::unexpected(read.error());
    return rules;
}

MachineFiles default_machine_files() {
    MachineFiles files;
    const char* root = std::getenv("GPUSPOOL_MACHINE_ROOT");
    if (root == nullptr || *root == '\0') return files;
    files.config = root + files.config;
    files.drain = root + files.drain;
    return files;
}

void MachineState::look() {
    look_at_config();
    look_at_drain();
}

std::vector<std::string> MachineState::problems() const {
    std::vector<std::string> all = rules_.warnings;
    for (const Looked* looked : {&config_seen_, &drain_seen_})
        if (!looked->problem.empty()) all.push_back(looked->problem);
    return all;
}

MachineState::Stamp MachineState::stamp_of(const struct stat& status) {
    return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
            status.st_ctim.tv_sec * std::int64_t{1'000'000'000} + status.st_ctim.tv_nsec};
}

// Links are followed, as for any file in /etc; what counts is who could have written what is read.
void MachineState::look_at_config() {
    struct stat status {};
    if (::stat(files_.config.c_str(), &status) != 0) {
        const int code = errno;
        config_seen_ = {};
        if (code == ENOENT || code == ENOTDIR)
            rules_ = {};
        else
            config_seen_.problem = system_error("look at", files_.config, code).value().text();
        return;
    }
    const Stamp stamp = stamp_of(status);
    if (config_seen_.stamp == stamp) return;
    config_seen_ = {stamp, {}};
    const Descriptor fd(
        ::open(files_.config.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (fd) return read_config(fd.get());
    config_seen_.stamp.reset();
    config_seen_.problem = system_error("open", files_.config, errno).value().text();
}

void MachineState::read_config(int fd) {
    struct stat status {};
    std::string& problem = config_seen_.problem;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        problem = files_.config + " is not obeyed: it is no regular file";
    else if (const auto why = distrust(status, files_.owner); !why.empty())
        problem = files_.config + " " + why;
    if (!problem.empty()) return;
    auto rules =
        read_all(fd, files_.config, largest_config).and_then([&](const std::string& bytes) {
            return read_machine_rules(bytes, files_.config);
        });
    if (rules)
        rules_ = std::move(*rules);
    else
        problem = rules.error().text() + " (the rules before stay in force)";
}

void MachineState::look_at_drain() {
    struct stat status {};
    if (lstat(files_.drain.c_str(), &status) != 0) {
        const int code = errno;
        drain_seen_ = {};
        // Not seen is not gone.
        if (code == ENOENT || code == ENOTDIR)
            drain_.reset();
        else
            drain_seen_.problem = system_error("look at", files_.drain, code).value().text();
        return;
    }
    const Stamp stamp = stamp_of(status);
    if (drain_seen_.stamp == stamp) return;
    drain_seen_ = {stamp, {}};
    if (status.st_uid != files_.owner) {
        drain_.reset();
        drain_seen_.problem = files_.drain + " is not obeyed: it does not belong to root";
        return;
    }
    const std::string text = drain_text(files_.drain, files_.owner);
    drain_ =
        text.empty() ? "the administrator has stopped all starts (" + files_.drain + ")" : text;
}

}  // namespace spool
