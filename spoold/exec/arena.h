// Memory for the start of a job, given back as a whole before the long wait.
#pragma once

#include <cstddef>

namespace spool::exec {

class Arena {
public:
    Arena() = default;
    ~Arena() { release(); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// Zeroed and aligned for anything; nullptr if the kernel gives none.
    void* take(std::size_t size);
    /// Gives everything back: all that take() returned is gone.
    void release();

private:
    struct Chunk {
        char* base;
        std::size_t size;
    };
    bool grow(std::size_t size);

    static constexpr std::size_t chunk_size = 256 * 1024;
    Chunk chunks_[16] = {};
    std::size_t count_ = 0, used_ = 0;
};

}  // namespace spool::exec
