#include "job_cgroups.h"

#include <unistd.h>

#include "log.h"

namespace spoold {
namespace {

std::string no_control_in(const std::string& service, const spool::Error& error) {
    return "in " + service +
           " no controllers can be used, since systemd could not start spoold again beside running "
           "jobs, and there is no scope for them: " +
           error.text();
}

/// "memory and processors of jobs", for the log.
void tell(const JobCgroup& place) {
    if (place.memory || place.processors)
        log_notice(std::string("the kernel keeps jobs to their ") + (place.memory ? "--mem" : "") +
                   (place.memory && place.processors ? " and " : "") +
                   (place.processors ? "--cpus" : "") + ", in " + place.jobs);
    if (!place.obstacle.empty())
        log_notice("limits of jobs that are counted, not enforced: " + place.obstacle);
}

}  // namespace

JobCgroups::JobCgroups(boost::asio::io_context& io, const std::string& spool_identity) {
    CgroupPlace place{cgroup_of_process(getpid()), {getpid()}};
    if (JobScope::is_for(place.directory) && has_controllers(files_, place.directory)) {
        auto scope = JobScope::open(io, place.directory, spool_identity);
        if (scope) {
            scope_.emplace(std::move(*scope));
            place = {scope_->directory(), {scope_->keeper()}};
        } else {
            place.no_control = no_control_in(place.directory, scope.error());
        }
    }
    place_ = prepare_job_cgroup(files_, place, spool_identity);
    tell(place_);
}

void JobCgroups::remove() {
    remove_job_cgroup(files_, place_);
}

}  // namespace spoold
