// What ps shows: the process's argument area, overwritten.
#pragma once

#include <cstddef>

namespace spool::exec {

class Title {
public:
    Title() = default;
    /// Takes the area of the arguments and the environment, which nobody may read any more.
    Title(int argc, char** argv, char** environment);
    void set(const char* text, std::size_t length) const;

private:
    char* area_ = nullptr;
    std::size_t arguments_ = 0, size_ = 0;
};

}  // namespace spool::exec
