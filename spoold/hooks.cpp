#include "hooks.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "captured_run.h"
#include "libspool/environment.h"
#include "libspool/names.h"

namespace spoold {
namespace {

constexpr std::size_t output_limit = 4096;

/// The record as a file to be read from its beginning; closed with the object.
class Input {
public:
    explicit Input(const std::string& text)
        : descriptor_(memfd_create("gpuspool-hook", MFD_CLOEXEC)) {
        const bool whole = descriptor_ >= 0 && write(descriptor_, text.data(), text.size()) ==
                                                   static_cast<ssize_t>(text.size());
        if (whole && lseek(descriptor_, 0, SEEK_SET) == 0) return;
        error_ = errno;
    }
    ~Input() {
        if (descriptor_ >= 0) close(descriptor_);
    }
    Input(const Input&) = delete;
    Input& operator=(const Input&) = delete;
    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] int error() const { return error_; }

private:
    int descriptor_, error_ = 0;
};

/// What went wrong, or nothing.
std::string problem_of(const std::string& path, const spool::Result<Captured>& run) {
    if (!run) return path + " cannot be run: " + run.error().text();
    if (run->timed_out) return path + " did not end in time and was killed";
    if (!run->status || *run->status == 0) return {};
    std::string how = WIFEXITED(*run->status)
                          ? "exit code " + std::to_string(WEXITSTATUS(*run->status))
                          : "signal " + std::to_string(WTERMSIG(*run->status));
    const std::string errors = run->errors.substr(0, run->errors.find('\n'));
    return path + " failed with " + how + (errors.empty() ? "" : ": " + spool::printable(errors));
}

}  // namespace

Hooks::Hooks(boost::asio::io_context& io, const spool::Spool& spool,
             std::function<void(const std::string&)> trouble, std::function<void()> idle)
    : io_(io), spool_(spool), trouble_(std::move(trouble)), idle_(std::move(idle)) {}

std::string Hooks::path_of(const std::string& name) const {
    return spool_.path + "/hooks/" + name;
}

void Hooks::call(const std::string& name, const std::function<std::string()>& record) {
    const std::string path = path_of(name);
    struct stat facts {};
    const bool is_file = stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode);
    if (!is_file || access(path.c_str(), X_OK) != 0) return;
    if (waiting_.size() >= most_waiting)
        return trouble_("hooks are too slow: more than " + std::to_string(most_waiting) +
                        " wait, and what comes now is told to none");
    waiting_.push_back({name, record()});
    next();
}

void Hooks::next() {
    while (running_ < at_once && !waiting_.empty()) {
        Call call = std::move(waiting_.front());
        waiting_.pop_front();
        ++running_;
        run(std::move(call));
    }
}

void Hooks::run(Call call) {
    const std::string path = path_of(call.name);
    const Input input(call.record + "\n");
    if (input.error() != 0)
        return ended(
            spool::system_error("prepare the input of", path, input.error()).value().text());
    ProcessOptions options;
    options.arguments = {path};
    spool::Environment environment = spool::own_environment();
    environment["GPUSPOOL_DIR"] = spool_.path;
    environment["GPUSPOOL_HOOK"] = call.name;
    for (const auto& [name, value] : environment)
        options.environment.push_back(std::string(name).append("=").append(value));
    options.directory = spool_.path;
    options.stdin_fd = input.descriptor();
    run_captured(
        io_, std::move(options), output_limit, timeout_,
        [this, path](const spool::Result<Captured>& run) { ended(problem_of(path, run)); });
}

void Hooks::ended(const std::string& problem) {
    --running_;
    trouble_(problem);
    next();
    if (is_idle()) idle_();
}

}  // namespace spoold
