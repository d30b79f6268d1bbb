// The watches, and what is made or opened again when somebody moves or removes what is the
// daemon's: a part of `Daemon`.
#include "daemon.h"
#include "libspool/own_files.h"
#include "libspool/posix_files.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

void Daemon::watch() {
    if (!watcher_) watcher_.emplace(io_, [this](const EventBatch& batch) { on_events(batch); });
    const auto watching = watcher_->watch(spool_);
    events_work_ = watching.has_value();
    troubles_.set("inotify",
                  watching ? ""
                           : "no notice of new files, the spool is looked at every 2 s (" +
                                 watching.error().text() +
                                 "); raise fs.inotify.max_user_instances or max_user_watches");
    rescan_ = files_changed_ = true;
}

/// Whether .spool and its records are still those that were opened. They are not made anew: without
/// them nobody would know which jobs have been executed.
spool::Result<bool> Daemon::holds_records() {
    const auto root = spool::PosixFiles::open_root(spool_.path);
    if (!root) return tl::unexpected(root.error());
    const spool::OpenFile held(files_, *root);
    const auto internal = files_.stat_at(held.get(), ".spool"),
               records = files_.stat_at(spool_.internal.get(), "records"),
               own_internal = files_.stat(spool_.internal.get()),
               own_records = files_.stat(spool_.records.get());
    for (const auto* stat : {&internal, &records, &own_internal, &own_records})
        if (!*stat) return tl::unexpected(stat->error());
    return internal->same_file(*own_internal) && records->same_file(*own_records);
}

/// What somebody has removed of the daemon's own files is written anew, from what it knows.
void Daemon::heal_files() {
    const auto note = [this](const std::string& name) {
        log_warning(".spool/" + name + " was removed or damaged: made anew");
    };
    const auto identity = spool::keep_identity(spool_);
    if (identity && *identity) note("format");
    const auto lists = incoming_->keep_files(index_.highest());
    for (const std::string& name : lists.value_or(std::vector<std::string>()))
        note(name);
    const auto history = spool::keep_history(spool_, *history_);
    if (history && *history) note("history");
    const spool::Error* failed = !identity  ? &identity.error()
                                 : !lists   ? &lists.error()
                                 : !history ? &history.error()
                                            : nullptr;
    troubles_.set("own files",
                  failed == nullptr ? "" : "the files in .spool cannot be kept: " + failed->text());
    if (!files_.stat_at(spool_.internal.get(), "owner")) rescan_ = true;
}

/// A directory of the spool that was moved or removed is opened, or made, again under its name.
void Daemon::heal_directories() {
    if (!std::exchange(directories_lost_, false)) return;
    const auto holds = holds_records();
    if (holds && !*holds) {
        log_error(spool_.path +
                  "/.spool or its records/ is another one now: this spoold ends; running jobs go "
                  "on, start spoold again");
        ending_ = true;
        return;
    }
    if (holds) heal_files();
    auto again =
        holds ? spool::open_spool(files_, spool_.path, spool::IfMissing::create)
              : spool::Result<spool::Spool>(spool::content_error(
                    spool_.path, {},
                    holds.error().text() +
                        ": move it back; if it is gone for good, end spoold and start it again"));
    troubles_.set("spool", again ? "" : "the spool cannot be opened: " + again.error().text());
    if (!again) {
        no_claims_before_ = clock_.monotonic() + 2s;
        next_rescan_ = std::min(next_rescan_, no_claims_before_);
        directories_lost_ = true;
        return;
    }
    if (!files_.stat_at(spool_.internal.get(), "lock")) (void)lock_.take();
    bool same = true;
    for (spool::OpenFile spool::Spool::*member :
         {&spool::Spool::root, &spool::Spool::incoming, &spool::Spool::running, &spool::Spool::done,
          &spool::Spool::control, &spool::Spool::internal, &spool::Spool::records,
          &spool::Spool::scripts, &spool::Spool::environments, &spool::Spool::temporary}) {
        const auto before = files_.stat((spool_.*member).get()),
                   after = files_.stat(((*again).*member).get());
        if (before && after && before->same_file(*after)) continue;
        same = false;
        if (member == &spool::Spool::running) {
            active_->restore_files();
            arrays_->restore_files();
        }
        if (member == &spool::Spool::environments) capture_environment();
        // A sync may be under way on the old descriptor: it is replaced, and closed with the
        // daemon.
        retired_.push_back(std::exchange(spool_.*member, std::move((*again).*member)));
        if (member == &spool::Spool::incoming) incoming_->was_moved(retired_.back().get());
    }
    if (same) return;
    log_warning("a directory of the spool was moved or removed: opened again");
    watch();
    // What went before the new watches were there is found by one more look.
    directories_lost_ = true;
    ask_for_pass();
}

}  // namespace spoold
