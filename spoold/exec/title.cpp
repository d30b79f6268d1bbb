#include "spoold/exec/title.h"

#include <cstring>

namespace spool::exec {

Title::Title(int argc, char** argv, char** environment) {
    if (argc < 1) return;
    area_ = argv[0];
    char* end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
    arguments_ = static_cast<std::size_t>(end - area_);
    // The kernel puts the environment right behind the arguments, and shows it when their last NUL
    // is gone.
    for (; *environment && *environment == end; ++environment)
        end += strlen(end) + 1;
    size_ = static_cast<std::size_t>(end - area_);
}

void Title::set(const char* text, std::size_t length) const {
    if (!area_) return;
    if (length > size_ - 1) length = size_ - 1;
    memcpy(area_, text, length);
    const std::size_t rest = length < arguments_ ? arguments_ : length + 1;
    memset(area_ + length, 0, rest - length);
}

}  // namespace spool::exec
