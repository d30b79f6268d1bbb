// The job's environment, from three sources of which the later wins.
#pragma once

#include <cstddef>

#include "spoold/exec/arena.h"
#include "spoold/exec/record_file.h"

namespace spool::exec {

class Environment {
public:
    /// Room for the variables of all `sources`; false without memory.
    bool reserve(const Strings* sources, std::size_t count, Arena& arena);
    /// Each KEY=VALUE replaces KEY; a KEY alone removes it. The bytes stay where they are.
    void apply(Strings source);
    /// As execve wants it; lives as long as the arena and the sources.
    char** list() const { return list_; }
    /// The value of a variable, or nullptr.
    const char* value(const char* key) const;

private:
    void remove(const char* variable, std::size_t key_length);

    char** list_ = nullptr;
    std::size_t count_ = 0;
};

/// Number of strings.
std::size_t count_strings(Strings strings);

/// The file .spool/env/<name>, NUL-terminated even where the file is not. Sets errno and returns
/// false on failure.
bool read_environment_file(int spool, const char* name, Arena& arena, Strings& out);

}  // namespace spool::exec
