// An executor whose jobs stand as their records say. Nobody is told of anything.
#pragma once

#include "spoold/executor.h"

namespace test {

class RecordExecutor : public spoold::Executor {
public:
    explicit RecordExecutor(spool::Files& files) : files_(files) {}

    spool::Result<void> notify_cancel(const spool::ActiveJob&,
                                      const spool::RecordContent&) override {
        return {};
    }
    spool::Result<void> notify_wish(const spool::ActiveJob&, const spool::RecordContent&) override {
        return {};
    }
    spool::Result<spoold::Standing> standing(const spool::ActiveJob& job) override {
        const auto locked = files_.is_locked(job.record.file.get());
        if (!locked) return tl::unexpected(locked.error());
        auto content = spool::read_record(files_, job.record);
        if (!content) return tl::unexpected(content.error());
        return spoold::Standing{std::move(*content), *locked};
    }

protected:
    spool::Files& files_;
};

}  // namespace test
