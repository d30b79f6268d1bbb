#include "libspool/recover_facts.h"

#include <cerrno>

#include "libspool/finish.h"
#include "libspool/names.h"

namespace spool {
namespace {

/// Whether that name is the file that was claimed.
Result<bool> is_claimed_file(Spool& spool, Handle directory, const std::string& name,
                             const record::Claim& claim) {
    const auto stat = spool.files->stat_at(directory, name);
    if (!stat && stat.error().code != ENOENT) return tl::unexpected(stat.error());
    return stat && stat->device == claim.device && stat->inode == claim.inode;
}

/// Of a further attempt the file may have been saved anew, or put back, since it was claimed.
Result<bool> is_any_job_file(Spool& spool, const RecordContent& content) {
    const auto stat =
        spool.files->stat_at(spool.running.get(), content.name() + content.claim.extension);
    if (!stat && stat.error().code != ENOENT) return tl::unexpected(stat.error());
    return stat && stat->kind == FileKind::regular;
}

/// The file may have been renamed in incoming/ since: it is looked for by inode too.
Result<bool> in_incoming(Spool& spool, const RecordContent& content) {
    const auto here = [&](const std::string& name) {
        return is_claimed_file(spool, spool.incoming.get(), name, content.claim);
    };
    if (auto there = here(content.file_name()); !there || *there) return there;
    const auto entries = spool.files->list(spool.incoming.get());
    if (!entries) return tl::unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        if (entry.inode != content.claim.inode) continue;
        if (auto there = here(entry.name); !there || *there) return there;
    }
    return false;
}

}  // namespace

Result<RecoveryFacts> examine(Spool& spool, const RecordFile& record, const RecordContent& content,
                              const record::BootId& boot,
                              const std::function<bool(const RecordContent&)>& tree_alive) {
    RecoveryFacts facts;
    facts.claim = content.claim_validity;
    facts.claimed = content.claimed();
    const auto locked = spool.files->is_locked(record.file.get());
    if (!locked) return tl::unexpected(locked.error());
    // A supervisor holds what was a claim: somebody has cut the file.
    if (facts.claim == record::Validity::absent && *locked) facts.claim = record::Validity::damaged;
    if (!facts.claimed) return facts;
    facts.same_boot = content.claim.boot_id == boot;
    facts.further_attempt = content.claim.attempt > 1;
    facts.started = content.started();
    facts.ended = content.ended();
    facts.cancelled = content.cancelled();
    facts.lock_held = *locked;
    facts.published = is_published(spool, content.name(), content.claim.token);
    const bool complete = facts.ended && content.exit.phase == record::Phase::complete;
    const bool ran = facts.started || facts.ended;
    facts.tree_alive =
        facts.same_boot && ran && !complete && !facts.lock_held && tree_alive(content);
    // A task has no file; its array is in running/.
    facts.in_running = split_task_name(content.name()).has_value();
    if (facts.in_running) return facts;
    const auto in_running = is_claimed_file(
        spool, spool.running.get(), content.name() + content.claim.extension, content.claim);
    if (!in_running) return tl::unexpected(in_running.error());
    facts.in_running = *in_running;
    if (facts.further_attempt && !facts.in_running) {
        const auto any = is_any_job_file(spool, content);
        if (!any) return tl::unexpected(any.error());
        facts.in_running = *any;
    }
    const auto waits = in_incoming(spool, content);
    if (!waits) return tl::unexpected(waits.error());
    facts.in_incoming = *waits;
    return facts;
}

}  // namespace spool
