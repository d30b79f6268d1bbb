// A scratch spool with one record, and spool-exec run on it.
#pragma once

#include <QString>
#include <QTemporaryDir>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/exec_process.h"
#include "tests/support/record_builder.h"

namespace spool::test {

/// A scratch spool whose job is run to its end.
struct ExecBench {
    QTemporaryDir directory;
    std::string spool = directory.path().toStdString() + "/spool";
    RecordBuilder builder{spool};

    int supervise(const std::vector<std::string>& more = {}) {
        return wait_for_program(start_supervisor(SPOOL_EXEC, builder, more));
    }
    /// The exit page of a whole run, or nothing if the supervisor refused.
    std::optional<record::Exit> run(const Job& job, const std::vector<std::string>& more = {}) {
        builder.write(job);
        return supervise(more) == 0 ? builder.complete() : std::nullopt;
    }
    QString log() const { return QString::fromStdString(read_text(builder.log())); }
};

}  // namespace spool::test
