#include "libspool/stable_hash.h"

namespace spool {

std::string stable_hash(std::string_view bytes) {
    __extension__ using Wide = unsigned __int128;
    constexpr Wide prime = (Wide(1) << 88) + 0x13b;
    Wide hash = (Wide(0x6c62272e07bb0142ULL) << 64) + 0x62b821756295c58dULL;
    for (const char c : bytes)
        hash = (hash ^ static_cast<unsigned char>(c)) * prime;
    std::string out(32, '0');
    for (auto digit = out.rbegin(); digit != out.rend(); ++digit, hash >>= 4)
        *digit = "0123456789abcdef"[static_cast<unsigned>(hash & 15)];
    return out;
}

}  // namespace spool
