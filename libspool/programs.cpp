#include "libspool/programs.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "libspool/system.h"

namespace spool {

std::string find_program(const std::string& name, const char* variable,
                         const std::string& libexec) {
    if (const char* set = std::getenv(variable); set != nullptr && *set != '\0') return set;
    char self[PATH_MAX] = {};
    if (readlink("/proc/self/exe", self, sizeof self - 1) > 0) {
        const std::string directory = std::string(self).substr(0, std::string(self).rfind('/'));
        for (const char* place : {"/", "/../spoold/", "/../libexec/gpuspool/"})
            if (const std::string path = std::string(directory).append(place).append(name);
                access(path.c_str(), X_OK) == 0)
                return absolute_path(path);
    }
    return libexec + "/" + name;
}

}  // namespace spool
