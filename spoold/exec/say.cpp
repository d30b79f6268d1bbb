#include "spoold/exec/say.h"

#include <unistd.h>

#include "spoold/exec/text.h"

namespace spool::exec {

namespace {

const char* reason(ExitCode code) {
    switch (code) {
        case done:
            return nullptr;
        case usage:
            return "wrong arguments";
        case not_ours:
            return "it is damaged, of a newer format, or not claimed with this token in this boot";
        case no_record:
            return "it cannot be opened or read";
        case system_error:
            return "the system refused memory, /proc, or writing to it";
        case already_executed:
            return "this attempt was executed already";
        case busy:
            return "another supervisor holds its lock";
    }
    return nullptr;
}

}  // namespace

void say(const char* what, const char* whom) {
    Text<1024> line;
    line.add("spool-exec: ").add(what).add(" ").add(whom).add("\n");
    (void)!write(STDERR_FILENO, line.c_str(), line.size());
}

void explain(ExitCode code, std::uint32_t record) {
    const char* why = reason(code);
    if (!why) return;
    Text<64> what;
    what.add("nothing was executed for .spool/records/").add_number(record).add(":");
    say(what.c_str(), why);
}

}  // namespace spool::exec
