// The waiting jobs of a scratch spool, over a real directory and a clock that the test moves.
#pragma once

#include <unistd.h>

#include <QtTest>
#include <cstdio>
#include <memory>
#include <set>
#include <string>

#include "libspool/incoming.h"
#include "libspool/job_file.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

namespace test {

using namespace std::chrono_literals;
using spool::Hint;
using spool::WaitingJob;

inline const std::string hello = "echo hello\n";

struct IncomingBench : ScratchSpoolOn<FailingFiles> {
    std::set<std::uint64_t> used;
    std::uint64_t active_inode = 0;
    std::unique_ptr<spool::Incoming> incoming;

    IncomingBench() { restart(); }

    /// As a new daemon would begin.
    void restart() {
        incoming = std::make_unique<spool::Incoming>(
            spool, clock, [this](std::uint64_t number) { return used.contains(number); },
            [this](const spool::FileStat& stat) { return stat.inode == active_inode; });
        if (auto loaded = incoming->load(); !loaded) qFatal("%s", loaded.error().text().c_str());
    }
    std::string path(const std::string& name) { return spool.path + "/incoming/" + name; }
    void drop(const std::string& name, const std::string& bytes = hello) {
        put(spool.incoming, name, bytes);
        incoming->look(name, Hint::none);
    }
    void move(const std::string& from, const std::string& to) {
        if (::rename(path(from).c_str(), path(to).c_str()) != 0) qFatal("rename");
    }
    void remove(const std::string& name) {
        if (::unlink(path(name).c_str()) != 0) qFatal("unlink %s", name.c_str());
    }
    void pass(std::chrono::nanoseconds time) {
        clock.advance(time);
        incoming->advance();
    }
    void scan() {
        if (auto begun = incoming->begin_scan(); !begun) qFatal("scan");
        while (incoming->continue_scan(1ms)) {
        }
    }
    spool::IncomingChanges changes() {
        auto changes = incoming->take_changes();
        if (!changes) qFatal("%s", changes.error().text().c_str());
        return std::move(*changes);
    }
    /// Drops a file, lets it settle, and returns its number.
    std::uint64_t ready(const std::string& name, const std::string& bytes = hello) {
        drop(name, bytes);
        pass(100ms);
        const auto ready = changes().ready;
        if (ready.size() != 1) qFatal("%s is not ready", name.c_str());
        return ready[0];
    }
    const WaitingJob& job(const std::string& name) const { return incoming->jobs().at(name); }
    std::string submitted(std::uint64_t number, const std::string& identity) {
        spool::SubmitInfo info;
        info.spool = identity;
        info.number = number;
        info.directory = "/";
        info.submitted_at = "2026-01-02T03:04:05Z";
        auto bytes = spool::with_submit_info(hello, info);
        if (!bytes) qFatal("%s", bytes.error().text().c_str());
        return *bytes;
    }
};

}  // namespace test
