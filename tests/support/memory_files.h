// Files in memory, with a model of what a loss of power leaves of them.
//
// Content and size of a file reach the disk by `sync` of the file, names by `sync` of their
// directory. Until then each change may have been written back or not:
//   - a page of 4 KiB is what it was at the last sync, or at any write since; never torn;
//   - the size likewise;
//   - of a rename across two directories the old name, the new name or both are there; but where
//     only one of the directories was synced, the other half is kept or dropped on its own;
//   - any other change of a name is kept or dropped.
//
// After the operation that `cut_at` names the machine is off: everything fails with EIO and changes
// nothing, until `power_on`.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>

#include "libspool/files.h"

namespace spool::test {

/// How much of what was not synced is on the disk after a cut.
enum class WrittenBack { nothing, everything, by_chance };

class MemoryFiles : public Files {
public:
    MemoryFiles();
    ~MemoryFiles() override;

    [[nodiscard]] Handle root();

    /// The machine goes off right before operation `number` from now (0 = the next one).
    void cut_at(std::uint64_t number);
    [[nodiscard]] bool is_off() const;
    /// What the disk has becomes what there is. Handles, locks and leases are gone.
    void power_on(WrittenBack written_back, std::uint32_t seed);
    /// The process is dead, the machine is not: handles, locks and leases are gone, what was
    /// written can be read.
    void process_dies();
    [[nodiscard]] std::uint64_t operations() const;
    /// Everything that there is reaches the disk (what the test itself puts there).
    void sync_all();
    /// What `sync` of this name answers from now on: 0 = it works.
    void fail_syncs(int code);

    Result<Handle> open(Handle directory, std::string_view name, OpenMode mode) override;
    void close(Handle file) override;
    Result<FileStat> stat(Handle file) override;
    Result<FileStat> stat_at(Handle directory, std::string_view name) override;
    Result<std::vector<DirectoryEntry>> list(Handle directory) override;
    Result<std::string> read(Handle file, std::uint64_t offset, std::size_t size) override;
    Result<void> write(Handle file, std::uint64_t offset, std::string_view bytes) override;
    Result<void> truncate(Handle file, std::uint64_t size) override;
    void begin_sync(Handle) override {}
    Result<void> sync(Handle file, bool metadata) override;
    Result<void> make_directory(Handle directory, std::string_view name) override;
    Result<void> rename(Handle from, std::string_view name, Handle to,
                        std::string_view new_name) override;
    Result<void> replace(Handle from, std::string_view name, Handle to,
                         std::string_view new_name) override;
    Result<void> remove(Handle directory, std::string_view name) override;
    Result<void> remove_directory(Handle directory, std::string_view name) override;
    Result<void> make_symlink(Handle directory, std::string_view name,
                              std::string_view target) override;
    LeaseAnswer lease(Handle file) override;
    void release_lease(Handle file) override;
    Result<bool> lock(Handle file) override;
    Result<void> lock_wait(Handle file) override;
    Result<bool> is_locked(Handle file) override;

private:
    struct Inode;
    using Node = std::shared_ptr<Inode>;
    struct OpenHandle {
        Node node;
        bool append = false;
    };
    /// A name that was set (or removed: no node) and is not on the disk for certain.
    struct NameChange {
        Node directory;
        std::string name;
        Node node;
        std::uint64_t rename = 0;  ///< both halves of a rename across directories have this
    };

    std::optional<tl::unexpected<Error>> refused(const char* operation, std::string_view path);
    Node node_of(Handle file);
    Node directory_of(Handle file);
    Node walk(Handle directory, std::string_view& name);
    Node find(const Node& directory, std::string_view name);
    Node make_node(FileKind kind);
    Handle add_handle(Node node, bool append);
    FileStat stat_of(const Node& node) const;
    void set_name(const Node& directory, std::string_view name, Node node,
                  std::uint64_t rename = 0);
    Result<void> move(Handle from, std::string_view name, Handle to, std::string_view new_name,
                      bool replace);
    void drop_handles();
    void settle_names(WrittenBack written_back, std::mt19937& chance);
    void settle_content(const Node& node, WrittenBack written_back, std::mt19937& chance);

    mutable std::mutex guard_;  ///< syncs come from another thread
    std::map<int, OpenHandle> handles_;
    std::map<std::uint64_t, Node> nodes_;
    std::vector<NameChange> unsynced_names_;
    Node root_, nowhere_;  ///< what is below a directory that is not there
    int next_handle_ = 3;
    std::uint64_t next_inode_ = 2, next_rename_ = 1, operations_ = 0;
    std::int64_t time_ = 1'000'000'000'000'000'000;
    std::optional<std::uint64_t> cut_at_;
    bool off_ = false;
    int sync_error_ = 0;
};

}  // namespace spool::test
