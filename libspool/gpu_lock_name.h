// Names of the files by which the spools of one machine share its GPUs (docs/protocol.md §13).
// Pure functions.
//
//   gpuspool.<gpu>.<uid>.<spool>.<nonce>     a lock: this spool has that GPU
//   gpuspool-ticket.<uid>.<spool>.<nonce>    a ticket: this spool waits for GPUs
//   .gpuspool-new.<uid>.<spool>.<nonce>      one of them in the making (only where needed)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spool {

/// What a file says of itself by its name. Anybody may give any name to a file of his own.
struct LockFileName {
    enum class Kind { lock, ticket, making };
    Kind kind = Kind::lock;
    std::string gpu;        ///< id, unescaped; only of a lock; of a very long one "%-<hash>"
    std::uint32_t uid = 0;  ///< that is claimed; who owns the file is what counts
    std::string spool;      ///< see spool_mark
    std::string nonce;

    bool operator==(const LockFileName&) const = default;
};

[[nodiscard]] std::string write_lock_name(const LockFileName& name);
[[nodiscard]] std::optional<LockFileName> read_lock_name(std::string_view file_name);

/// A GPU's id as part of a file name: letters, digits, '-', '_' and ':' stay, other bytes become
/// %XX; what would be longer than 120 bytes becomes "%-" and a hash. `read_lock_name` gives the
/// latter back as it is, so ids are compared in this form.
[[nodiscard]] std::string escape_gpu_id(std::string_view id);

/// What tells one spool of a user from another: 16 hexadecimal digits from the identity in
/// .spool/format (which a copied spool shares) and the inode of its directory (which is the same by
/// whatever path).
[[nodiscard]] std::string spool_mark(std::string_view identity, std::uint64_t device,
                                     std::uint64_t inode);

}  // namespace spool
