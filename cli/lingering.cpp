#include "cli/lingering.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "libspool/system.h"

namespace cli {

bool is_lingering() {
    const std::string name = spool::user_name(::geteuid());
    return ::access(("/var/lib/systemd/linger/" + name).c_str(), F_OK) == 0;
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
