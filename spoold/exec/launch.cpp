#include "spoold/exec/launch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

#include "spoold/exec/environment.h"
#include "spoold/exec/text.h"

namespace spool::exec {

using record::Claim;
using record::Step;

bool script_path(const Claim& claim, char* out, std::size_t size) {
    Text<512> path;
    path.add(".spool/scripts/").add(claim.name, claim.name_length).add(claim.extension);
    if (path.cut() || path.size() >= size) return false;
    memcpy(out, path.c_str(), path.size() + 1);
    return true;
}

Failure Launch::prepare() {
    if (record_.claim().flags & record::writes_script) {
        if (const Failure failure = write_script()) return failure;
    }
    if (const Failure failure = open_outputs()) return failure;
    if (const Failure failure = build_environment()) return failure;
    if (!build_arguments()) return {Step::exec, ENOMEM};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {Step::fork, errno};
    pipe_read_ = Fd(ends[0]);
    pipe_write_ = Fd(ends[1]);
    return {};
}

Failure Launch::write_script() {
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    char path[512];
    if (!script_path(record_.claim(), path, sizeof path)) return {Step::script, ENAMETOOLONG};
    Fd file(openat(spool_, path, flags, 0700));
    if (!file && errno == EEXIST) {
        (void)unlinkat(spool_, path, 0);
        file = Fd(openat(spool_, path, flags, 0700));
    }
    if (!file || fchmod(file.get(), 0700) != 0) return {Step::script, errno};
    const Strings script = record_.body(record_.claim().script);
    if (const int error = write_all(file.get(), script.data, script.size))
        return {Step::script, error};
    return {};
}

Fd Launch::open_log() {
    constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;
    Text<300> path;
    path.add("running/").add(record_.claim().name, record_.claim().name_length).add(".log");
    return Fd(openat(spool_, path.c_str(), flags, 0600));
}

/// Makes the directories in which `path` lies; what cannot be made shows when the file is opened.
static void make_parents(int directory, const char* path) {
    char parent[PATH_MAX];
    const std::size_t length = strlen(path);
    if (length >= sizeof parent) return;
    memcpy(parent, path, length + 1);
    for (char* slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdirat(directory, parent, 0777);
        *slash = '/';
    }
}

/// Without waiting: a FIFO that nobody reads is refused instead of stopping the supervisor.
Fd Launch::open_output(const char* path) {
    const bool truncate = record_.claim().flags & record::truncate_output;
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
                      (truncate ? O_TRUNC : 0);
    const Fd directory(
        path[0] == '/' ? -1
                       : open(record_.body(record_.claim().directory).data, O_PATH | O_CLOEXEC));
    Fd file(openat(directory.get(), path, flags, 0666));
    if (!file && errno == ENOENT) {
        make_parents(directory.get(), path);
        file = Fd(openat(directory.get(), path, flags, 0666));
    }
    if (file) (void)fcntl(file.get(), F_SETFL, O_APPEND);
    return file;
}

Failure Launch::open_outputs() {
    const Strings output = record_.body(record_.claim().output);
    const Strings error_output = record_.body(record_.claim().error_output);
    output_ = output.size > 1 ? open_output(output.data) : open_log();
    if (!output_) return {Step::output, errno};
    if (error_output.size <= 1) return {};
    error_output_ = open_output(error_output.data);
    if (!error_output_) return {Step::error_output, errno};
    return {};
}

Failure Launch::build_environment() {
    const Claim& claim = record_.claim();
    Strings sources[3] = {{}, record_.body(claim.environment), environment_source_};
    if (claim.environment_file.length > 1) {
        const char* name = record_.body(claim.environment_file).data;
        if (!read_environment_file(spool_, name, arena_, sources[0]))
            return {Step::environment, errno};
    }
    Environment environment;
    if (!environment.reserve(sources, 3, arena_)) return {Step::environment, ENOMEM};
    for (const Strings& source : sources)
        environment.apply(source);
    environment_ = environment.list();
    path_ = environment.value("PATH");
    return {};
}

bool Launch::build_arguments() {
    const Strings strings = record_.body(record_.claim().arguments);
    const std::size_t count = count_strings(strings);
    char** list = static_cast<char**>(arena_.take((count + 2) * sizeof(char*)));
    if (!list) return false;
    arguments_ = list + 1;
    char* next = const_cast<char*>(strings.data);
    for (std::size_t i = 0; i < count; ++i, next += strlen(next) + 1)
        arguments_[i] = next;
    const bool plain = count > 0 && (record_.claim().flags & record::plain_command);
    return !plain || divide(arguments_[count - 1]);
}

/// A plain command into its words.
bool Launch::divide(const char* command) {
    const std::size_t size = strlen(command) + 1;
    char* const copy = static_cast<char*>(arena_.take(size));
    plain_ = static_cast<char**>(arena_.take((size / 2 + 1) * sizeof(char*)));
    if (!copy || !plain_) return false;
    memcpy(copy, command, size);
    std::size_t count = 0;
    char* rest = nullptr;
    for (char* word = strtok_r(copy, " \t", &rest); word; word = strtok_r(nullptr, " \t", &rest))
        plain_[count++] = word;
    if (count == 0) plain_ = nullptr;
    return true;
}

Failure Launch::start(int& cgroup, pid_t& pid) {
    pid = fork_into(cgroup);
    if (pid < 0 && cgroup >= 0) {
        cgroup = -1;
        pid = fork_into(cgroup);
    }
    if (pid == 0) become_job();
    const int error = errno;
    pipe_write_.reset();
    output_.reset();
    error_output_.reset();
    if (pid < 0) return {Step::fork, error};
    return {};
}

Failure Launch::failure_of_child() {
    Failure failure;
    const ssize_t count = read(pipe_read_.get(), &failure, sizeof failure);
    pipe_read_.reset();
    return count == static_cast<ssize_t>(sizeof failure) ? failure : Failure{};
}

void Launch::give_up(Step step, int error) {
    const Failure failure{step, error};
    (void)!write(pipe_write_.get(), &failure, sizeof failure);
    quit(127);
}

/// In the child. Signal handlers are the default already; umask and limits are those of the zygote.
void Launch::become_job() {
    setsid();
    const int error_output = error_output_ ? error_output_.get() : output_.get();
    // Descriptors 0 to 2 are open in every supervisor, so none of ours is one of them.
    if (dup2(output_.get(), 1) < 0 || dup2(error_output, 2) < 0) give_up(Step::output, errno);
    if (chdir(record_.body(record_.claim().directory).data) != 0) give_up(Step::directory, errno);
    if (syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) != 0)
        give_up(Step::exec, errno);
    const std::uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
    if (plain_) (void)search(plain_, &Launch::execute_program);
    give_up(Step::exec, search(arguments_, &Launch::execute_file));
}

int Launch::execute_program(char** arguments, const char* path) {
    execve(path, arguments, environment_);
    return errno;
}

/// For a script without a `#!` line /bin/sh, as the shells do.
int Launch::execute_file(char** arguments, const char* path) {
    if (const int error = execute_program(arguments, path); error != ENOEXEC) return error;
    char* const name = arguments_[0];
    arguments_[-1] = const_cast<char*>("/bin/sh");
    arguments_[0] = const_cast<char*>(path);
    execve("/bin/sh", arguments_ - 1, environment_);
    arguments_[0] = name;
    return errno;
}

/// The search of execvp(3), with the job's PATH. Returns only if nothing could be executed: why.
int Launch::search(char** arguments, Attempt attempt) {
    const char* const name = arguments[0];
    if (!*name) return ENOENT;
    if (strchr(name, '/')) return (this->*attempt)(arguments, name);
    int verdict = ENOENT;
    for (const char* part = path_ ? path_ : "/bin:/usr/bin"; part;) {
        const std::size_t length = strcspn(part, ":");
        Text<PATH_MAX> path;
        path.add(part, length).add(length ? "/" : "").add(name);
        const int error = path.cut() ? ENAMETOOLONG : (this->*attempt)(arguments, path.c_str());
        if (error == EACCES)
            verdict = EACCES;
        else if (error != ENOENT && error != ENOTDIR && error != ESTALE && error != ENODEV &&
                 error != ETIMEDOUT && error != ENAMETOOLONG)
            return error;
        part = part[length] ? part + length + 1 : nullptr;
    }
    return verdict;
}

}  // namespace spool::exec
