// A new spool in a directory of its own, for unit tests.
#pragma once

#include <QTemporaryDir>
#include <QtTest>
#include <filesystem>

#include "libspool/layout.h"
#include "libspool/posix_files.h"

/// A clock that stands still until it is told otherwise.
class FixedClock : public spool::Clock {
public:
    std::int64_t now = 1'700'000'000'123'000'000;
    [[nodiscard]] std::int64_t wall() const override { return now; }
    [[nodiscard]] std::chrono::nanoseconds monotonic() const override {
        return std::chrono::nanoseconds(now);
    }
    void advance(std::chrono::nanoseconds by) { now += by.count(); }
};

/// `FileAccess` is PosixFiles or something derived from it.
template <typename FileAccess>
struct ScratchSpoolOn {
    QTemporaryDir directory;
    FileAccess files;
    FixedClock clock;
    spool::Spool spool;

    ScratchSpoolOn() {
        auto opened = spool::open_spool(files, (directory.path() + "/spool").toStdString(),
                                        spool::IfMissing::create);
        if (!opened) qFatal("%s", opened.error().text().c_str());
        spool = std::move(*opened);
    }

    /// QTemporaryDir cannot remove names that are not valid UTF-8.
    ~ScratchSpoolOn() {
        std::error_code ignored;
        std::filesystem::remove_all(spool.path, ignored);
    }
    ScratchSpoolOn(const ScratchSpoolOn&) = delete;
    ScratchSpoolOn& operator=(const ScratchSpoolOn&) = delete;

    /// Writes a file directly, as a user's editor would.
    void put(const spool::OpenFile& where, const std::string& name, const std::string& bytes) {
        auto file = spool::open_file(files, where.get(), name, spool::OpenMode::create);
        if (!file || !files.write(file->get(), 0, bytes)) qFatal("cannot write %s", name.c_str());
    }
    [[nodiscard]] std::string get(const spool::OpenFile& where, const std::string& name) {
        return spool::read_whole(files, where.get(), name).value_or("(not there)");
    }
    [[nodiscard]] bool has(const spool::OpenFile& where, const std::string& name) {
        return files.stat_at(where.get(), name).has_value();
    }
    /// Sorted.
    [[nodiscard]] QStringList names(const spool::OpenFile& where) {
        QStringList out;
        const auto entries = files.list(where.get());
        for (const auto& entry : *entries)
            out << QString::fromStdString(entry.name);
        out.sort();
        return out;
    }
    [[nodiscard]] std::size_t count(const spool::OpenFile& where) {
        return files.list(where.get())->size();
    }
};
using ScratchSpool = ScratchSpoolOn<spool::PosixFiles>;
