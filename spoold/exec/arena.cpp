#include "spoold/exec/arena.h"

#include <sys/mman.h>

#include <iterator>

namespace spool::exec {

bool Arena::grow(std::size_t size) {
    if (count_ == std::size(chunks_)) return false;
    const std::size_t wanted = size > chunk_size ? size : chunk_size;
    void* base = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return false;
    chunks_[count_++] = {static_cast<char*>(base), wanted};
    used_ = 0;
    return true;
}

void* Arena::take(std::size_t size) {
    size = (size + 15) & ~std::size_t{15};
    if (count_ == 0 || chunks_[count_ - 1].size - used_ < size) {
        if (!grow(size)) return nullptr;
    }
    void* piece = chunks_[count_ - 1].base + used_;
    used_ += size;
    return piece;
}

void Arena::release() {
    while (count_ > 0) {
        --count_;
        munmap(chunks_[count_].base, chunks_[count_].size);
    }
    used_ = 0;
}

}  // namespace spool::exec
