#include "cli/follow.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <thread>
#include <utility>

#include "cli/format.h"
#include "cli/watch.h"
#include "libspool/names.h"

namespace cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds poll_interval{1000}, closest_looks{50};
/// A job that moves between directories, or was withdrawn and is not yet in done/, may be out of
/// sight that long.
constexpr std::chrono::seconds out_of_sight{4};

bool write_all(const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t put = ::write(STDOUT_FILENO, data, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            note_output_failure(put < 0 ? errno : EIO);
            return false;
        }
        data += put;
        size -= static_cast<std::size_t>(put);
    }
    return true;
}

/// The name of what is open.
std::string target_of(int file) {
    std::array<char, 4096> name{};
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    const ssize_t size = ::readlink(link.c_str(), name.data(), name.size());
    return size > 0 ? std::string(name.data(), static_cast<std::size_t>(size)) : "a device";
}

/// The job as it is now, found again by what names exactly this one.
class Tracked {
public:
    Tracked(Context& context, spool::Spool& spool, const spool::FoundJob& job)
        : context_(context), spool_(spool), job_(job), seen_(steady_clock::now()) {}

    [[nodiscard]] const spool::FoundJob& job() const { return job_; }

    /// Looks again. The error is final: the job is not to be found for longer than a move takes.
    spool::Result<void> look() {
        auto found = spool::find_job(
            spool_, job_.id != 0 ? spool::job_number_text(job_.id, job_.task) : job_.name,
            context_.clock);
        if (found) {
            job_ = std::move(*found);
            seen_ = steady_clock::now();
            return {};
        }
        if (found.error().code != ENOENT) return tl::unexpected(found.error());
        if (steady_clock::now() - seen_ < out_of_sight) return {};
        return tl::unexpected(
            spool::Error{{},
                         {},
                         "job " + job_text(job_.id, job_.name) + " is gone: its file was removed",
                         ENOENT,
                         std::nullopt});
    }

private:
    Context& context_;
    spool::Spool& spool_;
    spool::FoundJob job_;
    steady_clock::time_point seen_;
};

int say_stopped(const spool::FoundJob& job) {
    complain("stopped watching; job " + job_text(job.id, job.name) + " goes on (gpuspool cancel " +
             job_argument(job) + " ends it)");
    return stopped_watching;
}

/// Says why a job waits, once for each reason.
class Reasons {
public:
    void tell(const spool::FoundJob& job) {
        if (!job.waiting()) return;
        const std::string reason = spool::printable(spool::wait_sentence(job.waiting()->reason));
        if (reason != last_) complain("job " + job_text(job.id, job.name) + " waits: " + reason);
        last_ = reason;
    }

private:
    std::string last_;
};

/// Waits for a change, but not so often that a busy spool keeps us looking.
void pause_between_looks(Watcher& watcher) {
    const auto start = steady_clock::now();
    watcher.wait(poll_interval);
    const auto rest =
        std::chrono::duration_cast<milliseconds>(closest_looks - (steady_clock::now() - start));
    if (rest.count() > 0 && !interrupted()) std::this_thread::sleep_for(rest);
}

}  // namespace

bool Log::open(const spool::Spool& spool, const spool::FoundJob& job) {
    const std::string name = job.name + ".log";
    for (const spool::OpenFile* directory : {&spool.running, &spool.done}) {
        if ((directory == &spool.running) != (job.place() == spool::Place::running)) continue;
        elsewhere_.clear();
        // With --output, x.log is a link to the named file: here, links are followed.
        file_ = ::openat(static_cast<int>(directory->get()), name.c_str(),
                         O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        struct stat status {};
        if (file_ < 0 || (::fstat(file_, &status) == 0 && S_ISREG(status.st_mode)))
            return file_ >= 0;
        elsewhere_ = target_of(file_);
        ::close(std::exchange(file_, -1));
    }
    return false;
}

std::string no_log_text(const spool::FoundJob& job, const Log& log) {
    return "the output of job " + job_text(job.id, job.name) + " goes to " +
           spool::printable(log.elsewhere()) + ", which is no file: there is nothing to print";
}

Log::~Log() {
    close();
}

void Log::close() {
    if (file_ >= 0) ::close(std::exchange(file_, -1));
}

bool Log::is_replaced(const spool::Spool& spool, const spool::FoundJob& job) const {
    const spool::OpenFile& directory =
        job.place() == spool::Place::running ? spool.running : spool.done;
    const std::string name = job.name + ".log";
    struct stat ours {
    }, there{};
    return ::fstat(file_, &ours) == 0 &&
           ::fstatat(static_cast<int>(directory.get()), name.c_str(), &there, 0) == 0 &&
           S_ISREG(there.st_mode) && (ours.st_ino != there.st_ino || ours.st_dev != there.st_dev);
}

void Log::seek_to_last(long lines) {
    if (lines < 0) return;
    std::array<char, 65536> block{};
    off_t start = ::lseek(file_, 0, SEEK_END);
    if (lines == 0) return;
    bool at_end = true;
    while (start > 0) {
        const off_t from = std::max<off_t>(0, start - static_cast<off_t>(block.size()));
        const ssize_t got =
            ::pread(file_, block.data(), static_cast<std::size_t>(start - from), from);
        if (got <= 0) break;
        for (ssize_t i = got; i-- > 0;) {
            const bool last_byte = at_end;
            at_end = false;
            if (block[static_cast<std::size_t>(i)] != '\n') continue;
            if (last_byte) continue;  // that feed ends the last line
            if (lines-- <= 1) {
                (void)::lseek(file_, from + i + 1, SEEK_SET);
                return;
            }
        }
        start = from;
    }
    (void)::lseek(file_, start, SEEK_SET);
}

bool Log::copy_new() {
    std::array<char, 65536> block{};
    while (!interrupted()) {
        const ssize_t got = ::read(file_, block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return true;
        if (!write_all(block.data(), static_cast<std::size_t>(got))) return false;
    }
    return true;
}

Watched follow_log(Context& context, spool::Spool& spool, const spool::FoundJob& job, long lines) {
    catch_interrupt();
    Watcher watcher(spool);
    Tracked tracked(context, spool, job);
    Reasons reasons;
    Log log;
    bool told = false;
    while (true) {
        if (interrupted()) return {std::nullopt, say_stopped(tracked.job())};
        if (const auto looked = tracked.look(); !looked)
            return {std::nullopt, report_search(looked.error())};
        const spool::FoundJob now =
            tracked.job();  // before reading on: what it wrote before its end is all printed
        if (!log.is_open() && now.place() != spool::Place::waiting && log.open(spool, now)) {
            log.seek_to_last(lines);
            watcher.watch_file(log.descriptor());
        }
        if (!std::exchange(told, told || !log.elsewhere().empty()) && !log.elsewhere().empty())
            complain(no_log_text(now, log));
        if (log.is_open() && !log.copy_new()) return {std::nullopt, failure};
        if (log.is_open() && log.is_replaced(spool, now)) {
            log.close();
            if (log.open(spool, now)) watcher.watch_file(log.descriptor());
            if (log.is_open() && !log.copy_new()) return {std::nullopt, failure};
        }
        if (now.result()) return {*now.result(), success};
        reasons.tell(now);
        if (!interrupted()) pause_between_looks(watcher);
    }
}

Watched wait_for_end(Context& context, spool::Spool& spool, const spool::FoundJob& job) {
    catch_interrupt();
    Watcher watcher(spool);
    Tracked tracked(context, spool, job);
    Progress progress;
    while (!tracked.job().result()) {
        if (interrupted()) {
            progress.clear();
            return {std::nullopt, say_stopped(tracked.job())};
        }
        progress.show("job " + job_text(tracked.job().id, tracked.job().name) + ' ' +
                      activity_text(tracked.job(), context.clock.wall()));
        pause_between_looks(watcher);
        if (const auto looked = tracked.look(); !looked) {
            progress.clear();
            return {std::nullopt, report_search(looked.error())};
        }
    }
    return {*tracked.job().result(), success};
}

}  // namespace cli
