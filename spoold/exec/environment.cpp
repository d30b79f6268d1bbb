#include "spoold/exec/environment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "spoold/exec/text.h"

namespace spool::exec {

std::size_t count_strings(Strings strings) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < strings.size; ++i)
        count += strings.data[i] == 0;
    return count;
}

bool Environment::reserve(const Strings* sources, std::size_t count, Arena& arena) {
    std::size_t total = 1;
    for (std::size_t i = 0; i < count; ++i)
        total += count_strings(sources[i]);
    list_ = static_cast<char**>(arena.take(total * sizeof(char*)));
    return list_ != nullptr;
}

void Environment::apply(Strings source) {
    const char* end = source.data + source.size;
    for (const char* next = source.data; next < end; next += strlen(next) + 1) {
        const char* equals = strchr(next, '=');
        remove(next, equals ? static_cast<std::size_t>(equals - next) : strlen(next));
        if (equals) list_[count_++] = const_cast<char*>(next);
    }
    list_[count_] = nullptr;
}

void Environment::remove(const char* variable, std::size_t key_length) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        const bool same =
            strncmp(list_[i], variable, key_length) == 0 && list_[i][key_length] == '=';
        if (!same) list_[kept++] = list_[i];
    }
    count_ = kept;
}

const char* Environment::value(const char* key) const {
    const std::size_t length = strlen(key);
    for (std::size_t i = 0; i < count_; ++i) {
        if (strncmp(list_[i], key, length) == 0 && list_[i][length] == '=')
            return list_[i] + length + 1;
    }
    return nullptr;
}

bool read_environment_file(int spool, const char* name, Arena& arena, Strings& out) {
    Text<512> path;
    path.add(".spool/env/").add(name);
    if (path.cut() || strchr(name, '/')) {
        errno = EINVAL;
        return false;
    }
    const Fd file(openat(spool, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    if (!file || fstat(file.get(), &status) != 0) return false;
    const auto size = static_cast<std::size_t>(status.st_size);
    char* text = static_cast<char*>(arena.take(size + 1));
    // Read, not mapped: a mapping would end the supervisor if somebody cut the file.
    const ssize_t count = text ? read(file.get(), text, size) : -1;
    if (count < 0) return false;
    const auto used = static_cast<std::size_t>(count);
    out = {text, used > 0 && text[used - 1] != 0 ? used + 1 : used};
    return true;
}

}  // namespace spool::exec
