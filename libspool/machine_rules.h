// What root says to all spools of a machine: limits in /etc/gpuspool/config.json, and
// /run/gpuspool/drain, which stops all starts (docs/settings.md).
//
// These are rules among people who share a machine, obeyed by every daemon that is not tampered
// with. A user's daemon is the user's own process: who wants to go round them needs no gpuspool.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"

namespace spool {

struct MachineRules {
    std::optional<int> max_gpus;       ///< "max_gpus": at a time, for each user
    std::map<std::string, int> users;  ///< "users": the same for single ones, by name
    /// "gpus": no others may be used; written as in --gpu-ids (index, UUID, PCI address).
    std::optional<std::vector<std::string>> gpus;
    /// Keys that were not understood.
    std::vector<std::string> warnings;

    /// Nothing: no limit.
    [[nodiscard]] std::optional<int> limit_of(const std::string& user) const;
};

/// Unknown keys are warnings, wrong values errors with their line.
[[nodiscard]] Result<MachineRules> read_machine_rules(std::string_view bytes,
                                                      const std::string& path);

/// Where root's files are.
struct MachineFiles {
    std::string config = "/etc/gpuspool/config.json";
    std::string drain = "/run/gpuspool/drain";
    std::uint32_t owner = 0;  ///< whom they must belong to
};
/// The same, below the directory $GPUSPOOL_MACHINE_ROOT where that is set (tests). The files must
/// belong to root there too.
[[nodiscard]] MachineFiles default_machine_files();

/// Reads those files when they have changed. Remembers the last good rules.
class MachineState {
public:
    explicit MachineState(MachineFiles files) : files_(std::move(files)) {}

    /// To be called before starts are decided: two system calls when nothing changed.
    void look();

    /// The last that could be read; no limits if none ever could, or if the file is not there.
    [[nodiscard]] const MachineRules& rules() const { return rules_; }
    /// Why nothing may start on this machine, in one line for all to read; nothing: it may.
    [[nodiscard]] const std::optional<std::string>& drain() const { return drain_; }
    /// What is wrong with the files, in sentences.
    [[nodiscard]] std::vector<std::string> problems() const;

private:
    /// By which a file is known again.
    struct Stamp {
        std::uint64_t device = 0, inode = 0, size = 0;
        std::int64_t changed = 0;
        bool operator==(const Stamp&) const = default;
    };
    struct Looked {
        std::optional<Stamp> stamp;
        std::string problem;
    };
    static Stamp stamp_of(const struct stat& status);
    void look_at_config();
    void look_at_drain();
    void read_config(int fd);

    MachineFiles files_;
    MachineRules rules_;
    std::optional<std::string> drain_;
    Looked config_seen_, drain_seen_;
};

}  // namespace spool
