// The files of arrays that are missing from running/ (docs/protocol.md §7, 2). A part of `Arrays`.
#include <cerrno>

#include "arrays.h"
#include "libspool/array_steps.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

std::size_t Arrays::look_at_files() {
    std::size_t absent = 0;
    for (auto& [number, array] : open_.all()) {
        const auto stat = spool_.files->stat_at(spool_.running.get(), array.record.job_file_name());
        const bool missing = !stat && stat.error().code == ENOENT;
        const bool matters = array.ready && !array.published && !array.record.cancelled;
        if (!missing || !matters) {
            if (!array.missing_since) continue;
            array.missing_since.reset();
            if (matters) enqueue_tasks(array);
            continue;
        }
        // No task begins until it is known what that means.
        if (!array.missing_since) {
            array.missing_since = clock_.monotonic();
            policy_.remove(number);
        }
        ++absent;
    }
    return absent;
}

/// One that is deleted is to be cancelled; several, or all with running/ itself, are an accident
/// (docs/protocol.md §7, 2).
void Arrays::settle_missing_files(std::size_t absent) {
    const bool accident = std::exchange(restoring_, false) || absent > 1;
    for (auto& [number, array] : open_.all()) {
        if (!array.missing_since) continue;
        if (accident) {
            put_file_back(array);
        } else if (clock_.monotonic() - *array.missing_since >= 1s) {
            array.missing_since = clock_.monotonic();
            cancel_all(array, "its file was removed from running/", [](bool, const auto&) {});
        }
    }
}

void Arrays::put_file_back(OpenArray& array) {
    const auto restored = spool::restore_array_file(spool_, array.record);
    troubles_.set("put back", restored ? ""
                                       : "files of arrays cannot be put back into running/: " +
                                             restored.error().text());
    if (!restored) {
        array.missing_since = clock_.monotonic();
        restoring_ = true;
        return;
    }
    array.missing_since.reset();
    enqueue_tasks(array);
    log_warning("several files vanished from running/ at once: that of " + title(array) +
                " was put back; to cancel it: gpuspool cancel " +
                std::to_string(array.record.number));
}

}  // namespace spoold
