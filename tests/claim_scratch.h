// A scratch spool with jobs that are claimed by hand, over files that can be made to fail.
#pragma once

#include "libspool/claim.h"
#include "libspool/result.h"
#include "libspool/system.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

inline const spool::record::BootId boot{1, 2, 3};
inline const std::string script = "echo hello\n";

inline bool no_name_taken(const std::string&) {
    return false;
}

struct ClaimScratch : ScratchSpoolOn<FailingFiles> {
    spool::RecordPool pool{spool};

    /// What a daemon asks for after it has looked at incoming/`file_name`.
    spool::ClaimRequest request(const std::string& file_name) {
        spool::ClaimRequest out;
        out.file_name = file_name;
        if (const auto stat = files.stat_at(spool.incoming.get(), file_name)) out.seen = *stat;
        out.number = 42;
        out.launch = [](const spool::ClaimIdentity&, const std::string&) {
            spool::Launch launch;
            launch.arguments = {"/bin/sh", "x"};
            launch.directory = "/somewhere";
            launch.environment = {"A=B", "UNSET", "EMPTY="};
            launch.facts.command = "echo hello";
            return launch;
        };
        out.name_taken = no_name_taken;
        return out;
    }
    spool::Result<std::variant<spool::ActiveJob, spool::NotClaimed>> claim(
        const spool::ClaimRequest& request) {
        return spool::claim(spool, pool, clock, boot, request);
    }
    spool::ActiveJob claimed(const std::string& file_name) {
        put(spool.incoming, file_name, script);
        auto claim = this->claim(request(file_name));
        if (!claim) qFatal("%s", claim.error().text().c_str());
        if (!std::holds_alternative<spool::ActiveJob>(*claim)) qFatal("not claimed");
        return std::move(std::get<spool::ActiveJob>(*claim));
    }
    spool::JobResult result_of(const spool::ActiveJob& job) {
        spool::JobResult result;
        result.id = job.number;
        result.name = job.name;
        result.state = spool::Outcome::succeeded;
        result.exit_code = 0;
        result.token = spool::to_hex(job.token);
        return result;
    }
    std::string path(const std::string& below) { return spool.path + "/" + below; }
};
