// Control groups (cgroup v2): each job gets one of its own, so that all of it is found; and where
// the kernel's controllers may be used there, it keeps the job to its memory and processors.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "libspool/error.h"

namespace spoold {

/// What is done to a hierarchy of cgroups, so that tests can have another. Paths are absolute.
class CgroupFiles {
public:
    virtual ~CgroupFiles() = default;
    /// Success if it is there already.
    virtual spool::Result<void> make(const std::string& directory) = 0;
    /// Nothing happens while something lives in it, or below.
    virtual void remove(const std::string& directory) = 0;
    [[nodiscard]] virtual std::vector<std::string> below(const std::string& directory) = 0;
    [[nodiscard]] virtual bool may_write(const std::string& file) = 0;
    [[nodiscard]] virtual spool::Result<std::string> read(const std::string& file) = 0;
    /// One write to a file that is there.
    virtual spool::Result<void> write(const std::string& file, const std::string& text) = 0;
};

class KernelCgroups : public CgroupFiles {
public:
    spool::Result<void> make(const std::string& directory) override;
    void remove(const std::string& directory) override;
    [[nodiscard]] std::vector<std::string> below(const std::string& directory) override;
    [[nodiscard]] bool may_write(const std::string& file) override;
    [[nodiscard]] spool::Result<std::string> read(const std::string& file) override;
    spool::Result<void> write(const std::string& file, const std::string& text) override;
};

/// A cgroup below which those of the jobs are to be made.
struct CgroupPlace {
    std::string directory;     ///< empty: there is none
    std::set<pid_t> ours{};    ///< processes in it that may be moved into one below it
    std::string no_control{};  ///< why controllers must not be used there; empty: they may
};

struct JobCgroup {
    std::string jobs;                         ///< each job's is made in it; empty: jobs have none
    std::string supervisors;                  ///< for what is no job; empty: where the daemon is
    bool memory = false, processors = false;  ///< limits of these can be enforced
    std::string obstacle;                     ///< why not, and the remedy; empty if all of them can
};

/// Makes the place for jobs' cgroups, if that may be written (a delegated unit of systemd's, a
/// container, root), and uses the controllers of memory and processors, as far as that goes. The
/// kernel allows these only where no process is beside the cgroups below: so what is in `place`
/// moves to a leaf first, and they are not used where something is that is not ours. What an
/// earlier daemon left empty is removed.
[[nodiscard]] JobCgroup prepare_job_cgroup(CgroupFiles& files, const CgroupPlace& place,
                                           const std::string& spool_identity);

/// Whether there are controllers to be used below that cgroup.
[[nodiscard]] bool has_controllers(CgroupFiles& files, const std::string& directory);

/// Removes it and what ended jobs left in it, as far as nothing lives there.
void remove_job_cgroup(CgroupFiles& files, const JobCgroup& cgroup);

/// Of a process, as /proc/PID/cgroup has it: the directory of its cgroup. Empty without cgroup v2.
[[nodiscard]] std::string cgroup_of_process(pid_t pid);

}  // namespace spoold
