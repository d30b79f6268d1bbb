// One record file as the supervisor sees it: its lock, its pages, its body (docs/protocol.md §4).
#pragma once

#include <cstddef>

#include "libspool/record.h"
#include "spoold/exec/arena.h"
#include "spoold/exec/system.h"

namespace spool::exec {

/// NUL-terminated strings, one after the other; the last byte is a NUL unless it is empty.
struct Strings {
    const char* data = nullptr;
    std::size_t size = 0;
};

class RecordFile {
public:
    /// `spool` is the spool's directory. Closed on exec, and meant never to be inherited.
    bool open(int spool, std::uint32_t number);
    /// Takes the write lock on byte 0 for as long as the process lives: busy, system_error or done.
    ExitCode lock();
    /// Reads pages and body into `arena` and judges them: done, or why nothing may be executed.
    ExitCode load(const record::Token& token, const record::BootId& boot, Arena& arena);

    const record::Claim& claim() const { return claim_; }
    /// Bytes of the body. Valid while the arena of load() is.
    Strings body(record::Span span) const { return {body_ + span.offset, span.length}; }

    /// Looks at the cancel page on the disk, now.
    bool cancelled() const;
    /// Whether the daemon wants the job to stand still, now.
    bool suspended() const;
    /// Write a sealed page; 0 or an errno. Not synced.
    int write(record::Run& page) const { return write_page(page, record::run_page); }
    int write(record::Exit& page) const { return write_page(page, record::exit_page); }
    void sync() const;

private:
    template <typename Page>
    int write_page(Page& page, std::size_t number) const;
    ExitCode judge_claim(const record::Token& token, const record::BootId& boot) const;
    ExitCode load_body(const char* start, std::size_t count, Arena& arena);
    bool spans_fit() const;

    Fd file_;
    record::Claim claim_{};
    const char* body_ = nullptr;
};

}  // namespace spool::exec
