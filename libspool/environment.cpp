#include "libspool/environment.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "libspool/stable_hash.h"

namespace spool {
namespace {

bool is_hash(std::string_view name) {
    return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == name.npos;
}

bool is_stored(Spool& spool, const std::string& name, const std::string& packed) {
    const Result<std::string> found = read_whole(*spool.files, spool.environments.get(), name);
    return found && *found == packed;
}

}  // namespace

Environment own_environment() {
    Environment out;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (const auto equals = text.find('='); equals != text.npos && equals > 0)
            out.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return out;
}

CapturedEnvironment filter_environment(const Environment& environment) {
    CapturedEnvironment out;
    for (const auto& [name, value] : environment) {
        if (is_session_variable(name)) continue;
        if (looks_secret(name, value))
            out.secrets.push_back(name);
        else
            out.kept.emplace(name, value);
    }
    return out;
}

std::string pack_environment(const Environment& environment) {
    std::string out;
    for (const auto& [name, value] : environment) {
        out += name;
        out += '=';
        out += value;
        out += '\0';
    }
    return out;
}

Environment unpack_environment(std::string_view packed) {
    Environment out;
    while (true) {
        const auto end = packed.find('\0');
        if (end == packed.npos) return out;  // what lacks its NUL was torn
        const std::string_view entry = packed.substr(0, end);
        const auto equals = entry.find('=');
        if (equals != entry.npos && equals > 0)
            out.insert_or_assign(std::string(entry.substr(0, equals)),
                                 std::string(entry.substr(equals + 1)));
        packed.remove_prefix(end + 1);
    }
}

Result<std::string> store_environment(Spool& spool, const Environment& environment) {
    const std::string packed = pack_environment(environment);
    const std::string name = stable_hash(packed);
    if (is_stored(spool, name, packed)) return name;
    return write_atomically(spool, spool.environments.get(), name, packed, true).map([&] {
        return name;
    });
}

Result<Environment> load_environment(Spool& spool, const std::string& name) {
    if (!is_hash(name))
        return content_error(spool.path + "/.spool/env", std::nullopt,
                             "'" + name + "' is not the name of a recorded environment");
    return read_whole(*spool.files, spool.environments.get(), name).map(unpack_environment);
}

}  // namespace spool
