// A spool with an array in it, for tests of its record.
#pragma once

#include "libspool/array_steps.h"
#include "libspool/recover.h"
#include "libspool/system.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

namespace test {

inline const spool::record::BootId this_boot{1}, other_boot{2};
inline const std::string script = "#SPOOL --array=1,3,5-7\necho hello\n";

struct ArrayScratch : ScratchSpoolOn<FailingFiles> {
    spool::RecordPool pool{spool};

    spool::OpenRequest request(const std::string& file_name) {
        spool::OpenRequest out;
        out.file_name = file_name;
        out.seen = *files.stat_at(spool.incoming.get(), file_name);
        out.number = 42;
        out.submitted_at = 5;
        out.wishes.priority = 3;
        out.name_taken = [](const std::string&) { return false; };
        return out;
    }
    spool::ArrayRecord opened(const std::string& file_name = "x.job") {
        put(spool.incoming, file_name, script);
        auto array = spool::open_array(spool, clock, request(file_name));
        if (!array || !std::holds_alternative<spool::ArrayRecord>(*array)) qFatal("not opened");
        return std::move(std::get<spool::ArrayRecord>(*array));
    }
    spool::ArrayRecord loaded() {
        auto array = spool::load_array(spool, "array-42", spool::OpenMode::read_write);
        if (!array) qFatal("%s", array.error().text().c_str());
        return std::move(*array);
    }
    spool::ActiveJob claimed(const spool::ArrayRecord& array, std::size_t place,
                             const spool::record::BootId& boot = this_boot) {
        spool::ClaimRequest request;
        request.file_name = array.file_name;
        request.number = array.number_of(place);
        request.launch = [&](const auto&, const auto&) {
            spool::Launch launch;
            launch.facts.array = array.number;
            launch.facts.task = array.tasks[place];
            return launch;
        };
        const spool::ClaimIdentity identity{request.number, 1, array.name_of(place), ".job",
                                            spool::random_token()};
        auto job = spool::claim_task(spool, pool, clock, boot, request, identity, array.job_file);
        if (!job) qFatal("%s", job.error().text().c_str());
        return std::move(*job);
    }
    template <typename Page>
    void write(const spool::ActiveJob& job, std::size_t number, Page page) {
        page.token = job.token;
        if (!spool::write_page(files, job.record, number, page)) qFatal("page");
    }
    /// `history` has the numbers from that one on.
    spool::Recovery recover(std::uint64_t history = UINT64_MAX) {
        spool::RecordPool next(spool);
        auto recovery = spool::recover(
            spool, next, clock, this_boot, [](const spool::RecordContent&) { return false; },
            [&](std::uint64_t number) { return number >= history; });
        if (!recovery) qFatal("%s", recovery.error().text().c_str());
        return std::move(*recovery);
    }
};

}  // namespace test
