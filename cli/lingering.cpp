#include "cli/lingering.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "libspool/system.h"

namespace cli {
namespace {

/// $GPUSPOOL_MACHINE_ROOT is for tests.
bool machine_has(const std::string& path) {
    const char* root = std::getenv("GPUSPOOL_MACHINE_ROOT");
    return ::access(((root != nullptr ? root : "") + path).c_str(), F_OK) == 0;
}

}  // namespace

bool is_lingering() {
    return machine_has("/var/lib/systemd/linger/" + spool::user_name(::geteuid()));
}

bool systemd_runs() {
    return machine_has("/run/systemd/system");
}

bool is_user_service(std::string_view cgroup) {
    const auto manager = cgroup.find("/user@");
    return manager != cgroup.npos && cgroup.find(".service/", manager) != cgroup.npos;
}

bool ends_at_logout(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/cgroup");
    const std::string cgroup{std::istreambuf_iterator<char>(file), {}};
    return is_user_service(cgroup) && !is_lingering();
}

}  // namespace cli
