#include "cli/exit_code.h"

namespace cli {

int exit_code_of(const spool::JobResult& result) {
    using spool::Outcome;
    switch (result.state) {
        case Outcome::succeeded:
            return 0;
        case Outcome::timeout:
            return 124;
        case Outcome::cancelled:
            return 125;
        case Outcome::lost:
        case Outcome::interrupted:
            return 126;
        case Outcome::rejected:
            return 127;
        case Outcome::failed:
            break;
    }
    if (result.signal) return 128 + *result.signal;
    if (result.tasks) return 1;
    if (!result.exit_code) return 127;
    return *result.exit_code == 0 ? 1 : *result.exit_code;
}

}  // namespace cli
