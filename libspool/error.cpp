#include "libspool/error.h"

namespace spool {

std::string Error::text() const {
    std::string out = path;
    if (line) out += (out.empty() ? "line " : ":") + std::to_string(*line);
    for (const std::string& part : {operation, message})
        if (!part.empty()) out += (out.empty() ? "" : ": ") + part;
    return out;
}

}  // namespace spool
