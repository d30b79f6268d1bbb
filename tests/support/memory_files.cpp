#include "tests/support/memory_files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

namespace spool::test {
namespace {

constexpr std::size_t page_size = 4096;

std::string page_of(const std::string& content, std::size_t page) {
    const std::size_t begin = page * page_size;
    std::string bytes = begin < content.size() ? content.substr(begin, page_size) : std::string();
    bytes.resize(page_size, '\0');
    return bytes;
}

}  // namespace

struct MemoryFiles::Inode {
    std::uint64_t number = 0;
    FileKind kind = FileKind::regular;
    std::int64_t modified = 0, changed = 0;
    int lock = -1;  ///< the handle that holds it

    std::string content, on_disk;
    std::map<std::size_t, std::vector<std::string>> unsynced_pages;
    std::vector<std::size_t> unsynced_sizes;

    std::map<std::string, Node, std::less<>> names, names_on_disk;

    void note_change(std::size_t begin, std::size_t end) {
        for (std::size_t page = begin / page_size; page * page_size < end; ++page)
            unsynced_pages[page].push_back(page_of(content, page));
        unsynced_sizes.push_back(content.size());
    }
    void all_on_disk() {
        on_disk = content;
        unsynced_pages.clear();
        unsynced_sizes.clear();
    }
};

MemoryFiles::MemoryFiles()
    : root_(make_node(FileKind::directory)), nowhere_(make_node(FileKind::directory)) {}
MemoryFiles::~MemoryFiles() {
    for (auto& [number, node] : nodes_) {
        node->names.clear();
        node->names_on_disk.clear();
    }
}

Handle MemoryFiles::root() {
    const std::lock_guard lock(guard_);
    return add_handle(root_, false);
}

void MemoryFiles::cut_at(std::uint64_t number) {
    const std::lock_guard lock(guard_);
    cut_at_ = operations_ + number;
}

bool MemoryFiles::is_off() const {
    const std::lock_guard lock(guard_);
    return off_;
}

std::uint64_t MemoryFiles::operations() const {
    const std::lock_guard lock(guard_);
    return operations_;
}

void MemoryFiles::fail_syncs(int code) {
    const std::lock_guard lock(guard_);
    sync_error_ = code;
}

void MemoryFiles::process_dies() {
    const std::lock_guard lock(guard_);
    drop_handles();
    off_ = false;
    cut_at_.reset();
}

void MemoryFiles::power_on(WrittenBack written_back, std::uint32_t seed) {
    const std::lock_guard lock(guard_);
    std::mt19937 chance(seed);
    drop_handles();
    settle_names(written_back, chance);
    for (auto& [number, node] : nodes_)
        settle_content(node, written_back, chance);
    off_ = false;
    cut_at_.reset();
}

void MemoryFiles::sync_all() {
    const std::lock_guard lock(guard_);
    for (auto& [number, node] : nodes_) {
        node->all_on_disk();
        node->names_on_disk = node->names;
    }
    unsynced_names_.clear();
}

void MemoryFiles::drop_handles() {
    handles_.clear();
    for (auto& [number, node] : nodes_)
        node->lock = -1;
}

void MemoryFiles::settle_names(WrittenBack written_back, std::mt19937& chance) {
    std::map<std::uint64_t, int> halves;
    for (const NameChange& change : unsynced_names_)
        if (change.rename != 0) ++halves[change.rename];
    // Of a whole rename: 0 = the old name, 1 = the new one, 2 = both.
    std::map<std::uint64_t, int> outcome;
    for (const auto& [rename, count] : halves)
        if (count == 2) outcome[rename] = static_cast<int>(chance() % 3);
    for (const NameChange& change : unsynced_names_) {
        bool kept = chance() % 2 == 0;
        if (const auto whole = outcome.find(change.rename); whole != outcome.end())
            kept = change.node ? whole->second != 0 : whole->second == 1;
        if (written_back != WrittenBack::by_chance) kept = written_back == WrittenBack::everything;
        if (!kept) continue;
        if (change.node)
            change.directory->names_on_disk[change.name] = change.node;
        else
            change.directory->names_on_disk.erase(change.name);
    }
    unsynced_names_.clear();
    for (auto& [number, node] : nodes_)
        node->names = node->names_on_disk;
}

void MemoryFiles::settle_content(const Node& node, WrittenBack written_back, std::mt19937& chance) {
    const auto pick = [&](std::size_t versions) {  // 0 = as on the disk, n = the n-th since
        if (written_back == WrittenBack::nothing) return std::size_t{0};
        if (written_back == WrittenBack::everything) return versions;
        return static_cast<std::size_t>(chance() % (versions + 1));
    };
    if (node->unsynced_sizes.empty()) return;
    const std::size_t version = pick(node->unsynced_sizes.size());
    std::string content = node->on_disk;
    content.resize(version == 0 ? content.size() : node->unsynced_sizes[version - 1], '\0');
    for (const auto& [page, versions] : node->unsynced_pages) {
        const std::size_t kept = pick(versions.size());
        if (kept == 0 || page * page_size >= content.size()) continue;
        const std::size_t length = std::min(page_size, content.size() - page * page_size);
        content.replace(page * page_size, length, versions[kept - 1], 0, length);
    }
    node->content = std::move(content);
    node->all_on_disk();
}

/// Counts the operation; an error if the machine is off.
std::optional<tl::unexpected<Error>> MemoryFiles::refused(const char* operation,
                                                          std::string_view path) {
    if (cut_at_ && operations_ >= *cut_at_) off_ = true;
    ++operations_;
    if (!off_) return std::nullopt;
    return system_error(operation, std::string(path), EIO);
}

MemoryFiles::Node MemoryFiles::node_of(Handle file) {
    const auto found = handles_.find(static_cast<int>(file));
    return found == handles_.end() ? nullptr : found->second.node;
}

/// The directory of the last component of `name`, which is what is left of it.
MemoryFiles::Node MemoryFiles::walk(Handle directory, std::string_view& name) {
    Node node = directory_of(directory);
    for (auto slash = name.find('/'); node && slash != name.npos; slash = name.find('/')) {
        const Node next = find(node, name.substr(0, slash));
        node = next && next->kind == FileKind::directory ? next : nowhere_;
        name.remove_prefix(slash + 1);
    }
    return node;
}

MemoryFiles::Node MemoryFiles::directory_of(Handle file) {
    Node node = node_of(file);
    return node && node->kind == FileKind::directory ? node : nullptr;
}

MemoryFiles::Node MemoryFiles::find(const Node& directory, std::string_view name) {
    const auto found = directory->names.find(name);
    return found == directory->names.end() ? nullptr : found->second;
}

MemoryFiles::Node MemoryFiles::make_node(FileKind kind) {
    Node node = std::make_shared<Inode>();
    node->number = next_inode_++;
    node->kind = kind;
    node->modified = node->changed = ++time_;
    nodes_[node->number] = node;
    return node;
}

Handle MemoryFiles::add_handle(Node node, bool append) {
    handles_[next_handle_] = {std::move(node), append};
    return Handle{next_handle_++};
}

FileStat MemoryFiles::stat_of(const Node& node) const {
    FileStat stat;
    stat.device = 1;
    stat.inode = node->number;
    stat.kind = node->kind;
    stat.owner = geteuid();
    stat.mode = node->kind == FileKind::directory ? 0700 : 0600;
    stat.size = node->content.size();
    stat.links = 1;
    stat.modified = node->modified;
    stat.changed = node->changed;
    return stat;
}

void MemoryFiles::set_name(const Node& directory, std::string_view name, Node node,
                           std::uint64_t rename) {
    const std::string key(name);
    if (node)
        directory->names[key] = node;
    else
        directory->names.erase(key);
    if (node) node->changed = ++time_;
    directory->modified = directory->changed = ++time_;
    unsynced_names_.push_back({directory, key, std::move(node), rename});
}

Result<Handle> MemoryFiles::open(Handle directory, std::string_view name, OpenMode mode) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("open", name)) return *error;
    const Node parent = walk(directory, name);
    if (!parent) return system_error("open", std::string(name), EBADF);
    Node node = find(parent, name);
    const bool creates =
        mode == OpenMode::create || mode == OpenMode::create_exclusive || mode == OpenMode::append;
    if (node && mode == OpenMode::create_exclusive)
        return system_error("open", std::string(name), EEXIST);
    if (!node && (!creates || parent == nowhere_))
        return system_error("open", std::string(name), ENOENT);
    if (node && mode == OpenMode::directory && node->kind != FileKind::directory)
        return system_error("open", std::string(name), ENOTDIR);
    if (!node) {
        node = make_node(FileKind::regular);
        set_name(parent, name, node);
    }
    return add_handle(node, mode == OpenMode::append);
}

void MemoryFiles::close(Handle file) {
    const std::lock_guard lock(guard_);
    const auto found = handles_.find(static_cast<int>(file));
    if (found == handles_.end()) return;
    if (found->second.node->lock == found->first) found->second.node->lock = -1;
    handles_.erase(found);
}

Result<FileStat> MemoryFiles::stat(Handle file) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("fstat", {})) return *error;
    const Node node = node_of(file);
    if (!node) return system_error("fstat", {}, EBADF);
    return stat_of(node);
}

Result<FileStat> MemoryFiles::stat_at(Handle directory, std::string_view name) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("stat", name)) return *error;
    const Node parent = walk(directory, name);
    const Node node = parent ? find(parent, name) : nullptr;
    if (!node) return system_error("stat", std::string(name), parent ? ENOENT : EBADF);
    return stat_of(node);
}

Result<std::vector<DirectoryEntry>> MemoryFiles::list(Handle directory) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("read directory", {})) return *error;
    const Node parent = directory_of(directory);
    if (!parent) return system_error("read directory", {}, EBADF);
    std::vector<DirectoryEntry> entries;
    for (const auto& [name, node] : parent->names)
        entries.push_back({name, node->number});
    return entries;
}

Result<std::string> MemoryFiles::read(Handle file, std::uint64_t offset, std::size_t size) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("read", {})) return *error;
    const Node node = node_of(file);
    if (!node) return system_error("read", {}, EBADF);
    if (offset >= node->content.size()) return std::string();
    return node->content.substr(static_cast<std::size_t>(offset), size);
}

Result<void> MemoryFiles::write(Handle file, std::uint64_t offset, std::string_view bytes) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("write", {})) return *error;
    const Node node = node_of(file);
    if (!node) return system_error("write", {}, EBADF);
    const bool append = handles_.at(static_cast<int>(file)).append;
    const std::size_t begin = append ? node->content.size() : static_cast<std::size_t>(offset);
    if (node->content.size() < begin + bytes.size())
        node->content.resize(begin + bytes.size(), '\0');
    node->content.replace(begin, bytes.size(), bytes);
    node->modified = node->changed = ++time_;
    node->note_change(begin, begin + bytes.size());
    return {};
}

Result<void> MemoryFiles::truncate(Handle file, std::uint64_t size) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("truncate", {})) return *error;
    const Node node = node_of(file);
    if (!node) return system_error("truncate", {}, EBADF);
    const std::size_t before = node->content.size();
    node->content.resize(static_cast<std::size_t>(size), '\0');
    node->modified = node->changed = ++time_;
    node->note_change(static_cast<std::size_t>(size), std::max(before, node->content.size()));
    return {};
}

Result<void> MemoryFiles::sync(Handle file, bool) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("sync", {})) return *error;
    const Node node = node_of(file);
    if (!node) return system_error("sync", {}, EBADF);
    if (sync_error_ != 0) return system_error("sync", {}, sync_error_);
    node->all_on_disk();
    node->names_on_disk = node->names;
    std::erase_if(unsynced_names_, [&](const auto& change) { return change.directory == node; });
    return {};
}

Result<void> MemoryFiles::make_directory(Handle directory, std::string_view name) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("make directory", name)) return *error;
    const Node parent = walk(directory, name);
    if (!parent || parent == nowhere_)
        return system_error("make directory", std::string(name), parent ? ENOENT : EBADF);
    if (find(parent, name)) return system_error("make directory", std::string(name), EEXIST);
    set_name(parent, name, make_node(FileKind::directory));
    return {};
}

Result<void> MemoryFiles::move(Handle from, std::string_view name, Handle to,
                               std::string_view new_name, bool replace) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("rename", name)) return *error;
    const Node source = walk(from, name), target = walk(to, new_name);
    const Node node = source ? find(source, name) : nullptr;
    if (!node || !target || target == nowhere_)
        return system_error("rename", std::string(name), ENOENT);
    if (!replace && find(target, new_name))
        return system_error("rename", std::string(name), EEXIST);
    const std::uint64_t rename = next_rename_++;
    set_name(target, new_name, node, rename);
    set_name(source, name, nullptr, rename);
    return {};
}

Result<void> MemoryFiles::rename(Handle from, std::string_view name, Handle to,
                                 std::string_view new_name) {
    return move(from, name, to, new_name, false);
}

Result<void> MemoryFiles::replace(Handle from, std::string_view name, Handle to,
                                  std::string_view new_name) {
    return move(from, name, to, new_name, true);
}

Result<void> MemoryFiles::remove(Handle directory, std::string_view name) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("remove", name)) return *error;
    const Node parent = walk(directory, name);
    if (!parent || !find(parent, name)) return system_error("remove", std::string(name), ENOENT);
    set_name(parent, name, nullptr);
    return {};
}

Result<void> MemoryFiles::remove_directory(Handle directory, std::string_view name) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("remove directory", name)) return *error;
    const Node parent = walk(directory, name);
    const Node node = parent ? find(parent, name) : nullptr;
    if (!node) return system_error("remove directory", std::string(name), ENOENT);
    if (!node->names.empty()) return system_error("remove directory", std::string(name), ENOTEMPTY);
    set_name(parent, name, nullptr);
    return {};
}

Result<void> MemoryFiles::make_symlink(Handle directory, std::string_view name,
                                       std::string_view target) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("make symbolic link", name)) return *error;
    const Node parent = walk(directory, name);
    if (!parent || find(parent, name))
        return system_error("make symbolic link", std::string(name), parent ? EEXIST : EBADF);
    const Node node = make_node(FileKind::symlink);
    node->content = target;
    node->all_on_disk();
    set_name(parent, name, node);
    return {};
}

LeaseAnswer MemoryFiles::lease(Handle) {
    return LeaseAnswer::granted;
}

void MemoryFiles::release_lease(Handle) {}

Result<bool> MemoryFiles::lock(Handle file) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("lock", {})) return *error;
    const Node node = node_of(file);
    if (!node) return system_error("lock", {}, EBADF);
    if (node->lock >= 0 && node->lock != static_cast<int>(file)) return false;
    node->lock = static_cast<int>(file);
    return true;
}

Result<void> MemoryFiles::lock_wait(Handle file) {
    const auto locked = lock(file);
    if (!locked) return tl::unexpected(locked.error());
    if (!*locked) return system_error("lock", {}, EDEADLK);  // nobody lets go while we wait
    return {};
}

Result<bool> MemoryFiles::is_locked(Handle file) {
    const std::lock_guard lock(guard_);
    if (auto error = refused("test lock", {})) return *error;
    const Node node = node_of(file);
    if (!node) return system_error("test lock", {}, EBADF);
    return node->lock >= 0 && node->lock != static_cast<int>(file);
}

}  // namespace spool::test
