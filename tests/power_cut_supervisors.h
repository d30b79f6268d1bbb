// What outlives a power cut in the tests of it, or does not: the clock, the truth about what was
// executed, a spool on files in memory, and supervisors that are simulated.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/record_executor.h"
#include "tests/support/memory_files.h"

namespace test {

using namespace std::chrono_literals;
using spool::test::MemoryFiles;

class TestClock : public spool::Clock {
public:
    [[nodiscard]] std::int64_t wall() const override { return 1'700'000'000'000'000'000 + now_; }
    [[nodiscard]] std::chrono::nanoseconds monotonic() const override { return 1h + now(); }
    void advance(std::chrono::nanoseconds time) { now_ += time.count(); }

private:
    [[nodiscard]] std::chrono::nanoseconds now() const { return std::chrono::nanoseconds(now_); }
    std::int64_t now_ = 0;
};

/// The name under which a file was dropped, whatever number its name has been given since.
inline std::string dropped_name(const std::string& file_name) {
    const std::size_t dot = file_name.rfind('.');
    return file_name.substr(0, std::min(file_name.find('~'), dot)) + file_name.substr(dot);
}

/// What an attempt is called, where a job has more than one.
inline std::string attempt_name(const std::string& file, std::uint32_t attempt) {
    return file.starts_with("retried") ? file + "#" + std::to_string(attempt) : file;
}

/// What a task is called.
inline std::string task_called(const std::string& file, std::uint64_t task) {
    return file + "_" + std::to_string(task);
}

/// What truly happened, whatever the disk says.
struct Truth {
    std::map<std::string, int> executed;         ///< by the name as dropped
    std::set<std::string> begun;                 ///< the run page was written, or nearly
    std::set<std::string> finished;              ///< came to their end with exit code 0
    std::map<std::uint64_t, std::string> shown;  ///< which file a number was shown for
    std::vector<std::string> dropped;            ///< must not be lost
    std::set<std::string> taken;    ///< claimed since the last start, or while it was tried
    std::set<std::string> cut_off;  ///< taken when the power went: may be interrupted
    std::set<std::string> killed;   ///< taken when daemon and supervisors died: may be lost
    std::map<std::uint64_t, spool::Outcome> told;  ///< what the user was told of a job's end
    std::vector<std::string> wrong;
};

inline spool::Spool open_spool_in_memory(MemoryFiles& files) {
    spool::Spool spool;
    spool.files = &files;
    spool.path = "/spool";
    spool.identity = "0123456789abcdef0123456789abcdef";
    spool.root = spool::OpenFile(files, files.root());
    const auto directory = [&](const spool::OpenFile& parent, const char* name) {
        (void)files.make_directory(parent.get(), name);
        auto opened = spool::open_file(files, parent.get(), name, spool::OpenMode::directory);
        return opened ? std::move(*opened) : spool::OpenFile();
    };
    spool.incoming = directory(spool.root, "incoming");
    spool.running = directory(spool.root, "running");
    spool.done = directory(spool.root, "done");
    spool.control = directory(spool.root, "control");
    spool.internal = directory(spool.root, ".spool");
    spool.records = directory(spool.internal, "records");
    spool.scripts = directory(spool.internal, "scripts");
    spool.environments = directory(spool.internal, "env");
    spool.temporary = directory(spool.internal, "tmp");
    return spool;
}

/// Runs jobs as spool-exec does: lock, claim, run page, execution, exit page.
class Supervisors : public RecordExecutor {
public:
    Supervisors(spool::Spool& spool, const spool::record::BootId& boot, Truth& truth)
        : RecordExecutor(*spool.files), spool_(spool), boot_(boot), truth_(truth) {}

    spool::Result<void> start(const spool::ActiveJob& job, const spoold::Binding&) override {
        auto file = spool::open_file(files_, spool_.records.get(), std::to_string(job.record.index),
                                     spool::OpenMode::read_write);
        if (!file) return tl::unexpected(file.error());
        const auto locked = files_.lock(file->get());
        if (!locked || !*locked) return {};
        spool::RecordFile record{job.record.index, std::move(*file), job.record.size, false};
        const auto content = spool::read_record(files_, record);
        if (!content || !content->claimed() || content->claim.token != job.token ||
            content->started() || content->cancelled())
            return {};
        spool::record::Run run{};
        run.token = job.token;
        run.boot_id = boot_;
        run.supervisor_pid = run.main_pid = 4711;
        run.started_at = 1;
        std::string name = attempt_name(dropped_name(job.file_name), job.attempt);
        if (job.is_task()) name = task_called(name, *job.facts.task);
        truth_.begun.insert(name);
        if (!spool::write_page(files_, record, spool::record::run_page, run)) return {};
        if (files_is_off()) return {};
        ++truth_.executed[name];
        running_.push_back({std::move(record), job.token, name});
        return {};
    }

    /// The oldest running job comes to its end.
    void end_one() {
        if (running_.empty()) return;
        Running ended = std::move(running_.front());
        running_.pop_front();
        const bool fails =
            ended.file_name.starts_with("failing") || ended.file_name == "retried.job#1";
        spool::record::Exit exit{};
        exit.token = ended.token;
        exit.phase = spool::record::Phase::complete;
        exit.wait_status = fails ? 3 << 8 : 0;
        exit.ended_at = 2;
        if (!fails && !files_is_off()) truth_.finished.insert(ended.file_name);
        (void)spool::write_page(files_, ended.record, spool::record::exit_page, exit);
    }

private:
    struct Running {
        spool::RecordFile record;
        spool::record::Token token;
        std::string file_name;
    };
    [[nodiscard]] bool files_is_off() const {
        return static_cast<const MemoryFiles&>(files_).is_off();
    }

    spool::Spool& spool_;
    spool::record::BootId boot_;
    Truth& truth_;
    std::deque<Running> running_;
};

}  // namespace test
