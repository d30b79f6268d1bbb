#include "spoold/exec/tree.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "spoold/exec/text.h"

namespace spool::exec {

/// A leader that has ended while other threads go on looks like a zombie, and is none.
static bool alive(const ProcessStat& stat) {
    return (stat.state != 'Z' && stat.state != 'X') || stat.threads > 1;
}

/// All processes of the machine, ordered by pid as the kernel lists them; in memory that is mapped
/// for this look only.
struct Tree::Table {
    Table() {
        void* memory = mmap(nullptr, size * sizeof(Entry), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return;
        entries = static_cast<Entry*>(memory);
    }
    ~Table() {
        if (entries) munmap(entries, size * sizeof(Entry));
    }
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    void add(const ProcessStat& stat, bool member) {
        if (count == size && !grow()) return;
        entries[count++] = {stat.pid, stat.parent, stat.start, stat.state, alive(stat), member};
    }
    bool grow() {
        const std::size_t bytes = size * sizeof(Entry);
        void* memory = entries ? mremap(entries, bytes, 2 * bytes, MREMAP_MAYMOVE) : MAP_FAILED;
        if (memory == MAP_FAILED) return false;
        entries = static_cast<Entry*>(memory);
        size *= 2;
        return true;
    }
    Entry* find(pid_t pid) {
        std::size_t low = 0, high = count;
        while (low < high) {
            const std::size_t middle = low + (high - low) / 2;
            if (entries[middle].pid < pid)
                low = middle + 1;
            else
                high = middle;
        }
        return low < count && entries[low].pid == pid ? &entries[low] : nullptr;
    }

    Entry* entries = nullptr;
    std::size_t size = 4096, count = 0;
};

namespace {

bool stopped(char state) {
    return state == 'T' || state == 't';
}
bool moving(char state) {
    return state == 'R' || state == 'S';
}

/// The names of a directory, one call of the kernel after the other. `use` gets each.
template <typename Use>
void for_each_name(int parent, const char* path, Use use) {
    const Fd directory(openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!directory) return;
    alignas(8) char buffer[4096];
    for (;;) {
        const long count = syscall(SYS_getdents64, directory.get(), buffer, sizeof buffer);
        if (count <= 0) return;
        for (long offset = 0; offset < count;) {
            std::uint16_t length;
            memcpy(&length, buffer + offset + 16, sizeof length);
            use(directory.get(), buffer + offset + 19);
            offset += length;
        }
    }
}

/// Whether the process has a handler of its own for the signal: bit of SigCgt in its status.
bool catches(pid_t pid, int number) {
    Text<64> path;
    path.add("/proc/").add_number(static_cast<std::uint64_t>(pid)).add("/status");
    char text[4096];
    const ssize_t count = read_file(AT_FDCWD, path.c_str(), text, sizeof text - 1);
    if (count <= 0) return false;
    text[count] = 0;
    const char* line = strstr(text, "\nSigCgt:");
    return line && (strtoull(line + 8, nullptr, 16) >> (number - 1) & 1);
}

/// Sends through a pidfd if the process is still the one that was found.
void send(pid_t pid, std::uint64_t start, int number) {
    const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    ProcessStat stat;
    if (!process || !read_stat(pid, stat) || stat.start != start) return;
    (void)syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0);
}

}  // namespace

void Tree::scan_processes(Table& table) {
    for_each_name(AT_FDCWD, "/proc", [&](int, const char* name) {
        ProcessStat stat;
        if (*name < '1' || *name > '9') return;
        if (read_stat(static_cast<pid_t>(strtol(name, nullptr, 10)), stat)) table.add(stat, false);
    });
}

/// Descendants of descendants, until a pass finds no more.
void Tree::find(Table& table) {
    if (!table.entries) return;
    scan_processes(table);
    const pid_t self = getpid();
    for (bool more = true; more;) {
        more = false;
        for (std::size_t i = 0; i < table.count; ++i) {
            Entry& entry = table.entries[i];
            if (entry.member) continue;
            const Entry* parent = entry.parent == self ? nullptr : table.find(entry.parent);
            entry.member = entry.parent == self || (parent && parent->member);
            more = more || entry.member;
        }
    }
    if (cgroup_) add_cgroup_members(table);
}

void Tree::add_cgroup_members(Table& table) {
    const Fd file(openat(cgroup_.get(), "cgroup.procs", O_RDONLY | O_CLOEXEC));
    char buffer[4096];
    std::size_t kept = 0;
    for (;;) {
        const ssize_t count = read(file.get(), buffer + kept, sizeof buffer - 1 - kept);
        if (count <= 0) return;
        kept += static_cast<std::size_t>(count);
        buffer[kept] = 0;
        char* line = buffer;
        while (char* end = strchr(line, '\n')) {
            const auto pid = static_cast<pid_t>(strtol(line, nullptr, 10));
            if (Entry* entry = table.find(pid)) entry->member = true;
            line = end + 1;
        }
        kept = static_cast<std::size_t>(buffer + kept - line);
        memmove(buffer, line, kept);
    }
}

unsigned Tree::count() {
    Table table;
    find(table);
    unsigned found = 0;
    for (std::size_t i = 0; i < table.count; ++i)
        found += table.entries[i].member && table.entries[i].alive;
    return found;
}

/// Returns how many of those that got the signal were able to fork when they were looked at.
unsigned Tree::sweep(int number, bool only_catchers) {
    Table table;
    find(table);
    unsigned movers = 0;
    for (std::size_t i = 0; i < table.count; ++i) {
        const Entry& entry = table.entries[i];
        if (!entry.member || !entry.alive) continue;
        if (number == SIGSTOP && stopped(entry.state)) continue;
        if (only_catchers && !catches(entry.pid, number)) continue;
        movers += moving(entry.state);
        send(entry.pid, entry.start, number);
    }
    return movers;
}

/// A process that keeps forking needs a few looks; one that cannot be stopped must not hold us
/// here.
void Tree::stop() {
    for (int look = 0; look < 64 && sweep(SIGSTOP) > 0; ++look)
        sched_yield();
}

void Tree::terminate() {
    stop();
    sweep(SIGTERM);
    sweep(SIGCONT);
}

bool Tree::freeze(bool frozen) {
    if (!cgroup_) return false;
    const Fd file(openat(cgroup_.get(), "cgroup.freeze", O_WRONLY | O_CLOEXEC));
    return file && write(file.get(), frozen ? "1" : "0", 1) == 1;
}

void Tree::suspend() {
    frozen_ = freeze(true);
    stopped_ = !frozen_;
    if (stopped_) stop();
}

bool Tree::go_on() {
    if (frozen_ && cgroup_ && !freeze(false)) return false;
    if (stopped_) sweep(SIGCONT);
    frozen_ = stopped_ = false;
    return true;
}

void Tree::signal_catchers(int number) {
    sweep(number, true);
}

void Tree::kill() {
    if (cgroup_) {
        const Fd file(openat(cgroup_.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
        if (file) (void)!write(file.get(), "1", 1);
    }
    stop();
    sweep(SIGKILL);
}

bool Tree::cgroup_empty() const {
    char text[256];
    const ssize_t count = read_file(cgroup_.get(), "cgroup.events", text, sizeof text - 1);
    if (count <= 0) return true;
    text[count] = 0;
    return !strstr(text, "populated 1");
}

void remove_cgroup(int parent, const char* name) {
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    for_each_name(parent, name, [](int directory, const char* entry) {
        struct stat status {};
        if (entry[0] == '.' || fstatat(directory, entry, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
        if (S_ISDIR(status.st_mode)) remove_cgroup(directory, entry);
    });
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

}  // namespace spool::exec
