#include "spoold/probe/device_nodes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace spool::probe {

namespace fs = std::filesystem;

namespace {

bool has_nodes(const fs::path& directory, const std::string& stem) {
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        if (name.size() > stem.size() && name.starts_with(stem) &&
            name.find_first_not_of("0123456789", stem.size()) == name.npos)
            return true;
    }
    return false;
}

}  // namespace

bool may_open(const fs::path& path) {
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file >= 0) close(file);
    // Any other error is the driver's to tell.
    return file >= 0 || (errno != EPERM && errno != EACCES && errno != ENOENT);
}

bool may_open_node(const fs::path& directory, const std::string& stem, const std::string& rest) {
    const fs::path path = directory / (stem + rest);
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 && errno == ENOENT) return !has_nodes(directory, stem);
    return may_open(path);
}

}  // namespace spool::probe
