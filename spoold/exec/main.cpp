// spool-exec: supervises one job (--record), or forks a supervisor for each request (--zygote).
//
// It allocates nothing from the heap, and what it needs to know stands in the record
// (docs/protocol.md §4).
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "spoold/exec/say.h"
#include "spoold/exec/supervisor.h"
#include "spoold/exec/text.h"
#include "spoold/exec/zygote.h"

namespace spool::exec {

namespace {

constexpr char usage_text[] =
    "usage: spool-exec --zygote SPOOLDIR [--cgroup DIR] [--sup-cgroup DIR]   (socket on descriptor "
    "3)\n"
    "       spool-exec --record N --token HEX SPOOLDIR [--cgroup DIR] [--gpus JSON] [--env "
    "K=V]... [--mem BYTES] [--cpus N]\n";

constexpr int zygote_socket = 3;

struct Arguments {
    bool zygote = false, has_record = false, has_token = false;
    std::uint32_t record = 0;
    record::Token token{};
    const char* spool = nullptr;
    const char* cgroup = nullptr;
    const char* supervisor_cgroup = nullptr;
    Text<1024> gpus;
    Text<8192> environment;
    record::Limits limits{};

    bool parse(int argc, char** argv);
    bool complete() const { return spool && (zygote || (has_record && has_token)); }

private:
    bool take(const char* option, const char* value);
    bool take_record(const char* value);
};

bool take_number(const char* value, std::uint64_t& out) {
    char* end = nullptr;
    out = strtoull(value, &end, 10);
    return *value >= '0' && *value <= '9' && !*end;
}

bool Arguments::take_record(const char* value) {
    std::uint64_t number = 0;
    has_record = take_number(value, number) && number <= UINT32_MAX;
    record = static_cast<std::uint32_t>(number);
    return has_record;
}

bool Arguments::take(const char* option, const char* value) {
    const auto is = [&](const char* name) { return strcmp(option, name) == 0; };
    if (is("--record")) return take_record(value);
    if (is("--mem")) return take_number(value, limits.memory);
    if (is("--cpus")) return take_number(value, limits.processors);
    if (is("--token"))
        has_token = parse_hex(value, strlen(value), token);
    else if (is("--cgroup"))
        cgroup = value;
    else if (is("--sup-cgroup"))
        supervisor_cgroup = value;
    else if (is("--gpus"))
        gpus.add(value);
    else if (is("--env"))
        environment.add(value, strlen(value) + 1);
    else
        return false;
    return !environment.cut() && !gpus.cut();
}

bool Arguments::parse(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--zygote") == 0) {
            zygote = true;
        } else if (argv[i][0] != '-') {
            spool = argv[i];
        } else if (i + 1 == argc || !take(argv[i], argv[i + 1])) {
            return false;
        } else {
            ++i;
        }
    }
    return complete();
}

Fd open_directory(const char* path) {
    return Fd(path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1);
}

/// Descriptors 0 and 1 are /dev/null from here on, and 2 is open.
bool prepare_descriptors(Setup& setup) {
    Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    while (null && null.get() < 3)
        null = Fd(fcntl(null.release(), F_DUPFD_CLOEXEC, 4));
    if (!null || dup2(null.get(), 0) < 0 || dup2(null.get(), 1) < 0) return false;
    if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null.get(), STDERR_FILENO) < 0) return false;
    setup.null = static_cast<Fd&&>(null);
    return true;
}

bool prepare(Setup& setup, const Arguments& arguments) {
    if (!prepare_descriptors(setup)) return say("cannot open", "/dev/null"), false;
    setup.spool = open_directory(arguments.spool);
    if (!setup.spool) return say("cannot open the spool directory", arguments.spool), false;
    if (!read_boot_id(setup.boot)) return say("cannot read", "the boot id in /proc"), false;
    if (!arguments.cgroup) return true;
    setup.cgroup = open_directory(arguments.cgroup);
    if (setup.cgroup)
        setup.cgroup_path.add(arguments.cgroup);
    else
        say("works without cgroups: cannot open", arguments.cgroup);
    return true;
}

/// A starter may have left anything open there; only a packet socket can carry requests.
bool is_request_socket(int descriptor) {
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int run(Arguments& arguments, Setup& setup) {
    reset_signals();
    if (arguments.zygote) {
        if (!is_request_socket(zygote_socket))
            return say("needs its socket (SOCK_SEQPACKET) on", "descriptor 3"), usage;
        (void)fcntl(zygote_socket, F_SETFD, FD_CLOEXEC);
    }
    if (!prepare(setup, arguments)) return system_error;
    if (arguments.zygote)
        return serve(setup, Fd(zygote_socket), open_directory(arguments.supervisor_cgroup));
    Supervisor supervisor(setup);
    const ExitCode code =
        supervisor.run({arguments.record,
                        arguments.token,
                        {arguments.gpus.c_str(), arguments.gpus.size()},
                        {arguments.environment.c_str(), arguments.environment.size()},
                        arguments.limits});
    explain(code, arguments.record);
    return code;
}

}  // namespace

}  // namespace spool::exec

int main(int argc, char** argv) {
    spool::exec::Arguments arguments;
    spool::exec::Setup setup;
    if (!arguments.parse(argc, argv)) {
        (void)!write(STDERR_FILENO, spool::exec::usage_text, sizeof spool::exec::usage_text - 1);
        return spool::exec::usage;
    }
    setup.title = spool::exec::Title(argc, argv, environ);
    spool::exec::quit(spool::exec::run(arguments, setup));
}
