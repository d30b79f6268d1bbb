// Processes of several users that meet in one directory of GPU locks. Needs root, to become them.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QtTest>
#include <csignal>
#include <functional>

#include "libspool/gpu_lock.h"

namespace test {

inline constexpr uid_t first_user = 61001, victim = 61001, mallory = 61002;

/// A directory like /run/lock, not below one that only root may enter.
class SharedDirectory {
public:
    QTemporaryDir scratch{QDir::tempPath() + "/gpuspool-locks-XXXXXX"};
    std::string path = scratch.path().toStdString();
    SharedDirectory() { chmod(path.c_str(), 01777); }
    ~SharedDirectory() { chmod(path.c_str(), 0700); }
    [[nodiscard]] QStringList files() const {
        return QDir(scratch.path())
            .entryList(QDir::AllEntries | QDir::Hidden | QDir::System | QDir::NoDotAndDotDot);
    }
    SharedDirectory(const SharedDirectory&) = delete;
    SharedDirectory& operator=(const SharedDirectory&) = delete;
};

/// A process of that user, in the directory. Killed at the end.
class Process {
public:
    Process(uid_t user, const std::string& directory, const std::function<void()>& run) {
        pid_ = fork();
        if (pid_ != 0) return;
        alarm(240);
        if (chdir(directory.c_str()) != 0 || setresgid(user, user, user) != 0 ||
            setresuid(user, user, user) != 0)
            _exit(120);
        // After the change of user, which undoes it.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        umask(022);
        run();
        _exit(0);
    }
    ~Process() {
        if (pid_ > 0) kill9();
    }
    Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Process& operator=(Process&&) = delete;

    /// Its exit code; a signal as 128 and its number.
    int wait() {
        int status = 0;
        while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    void kill9() {
        kill(pid_, SIGKILL);
        wait();
    }

private:
    pid_t pid_ = -1;
};

/// Memory that all processes share.
template <typename T>
class Shared {
public:
    Shared()
        : memory_(
              mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) qFatal("mmap");
        new (memory_) T();
    }
    ~Shared() { munmap(memory_, sizeof(T)); }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    T* operator->() const { return static_cast<T*>(memory_); }

private:
    void* memory_;
};

inline spool::GpuLocks open_locks(const std::string& mark) {
    auto locks = spool::GpuLocks::open(".", mark, "/home/" + mark);
    if (!locks) qFatal("%s", locks.error().text().c_str());
    return std::move(*locks);
}

inline std::vector<spool::GpuWanted> gpus(const std::vector<std::string>& ids) {
    std::vector<spool::GpuWanted> all;
    for (const std::string& id : ids)
        all.push_back({id, {}});
    return all;
}

/// What the victim finds when he wants GPU 0: "free", or the sentence why not.
inline void try_to_take(int answer_fd, const std::vector<spool::GpuWanted>& wanted) {
    alarm(20);
    spool::GpuLocks locks = open_locks("v");
    std::string text = "free";
    auto answer = locks.take(wanted, 1);
    if (!answer)
        text = "error: " + answer.error().text();
    else if (const auto* holder = std::get_if<spool::GpuHolder>(&*answer))
        text = holder_sentence(*holder);
    else
        std::get<spool::GpuLock>(*answer).remove();
    if (!locks.look()) text += ", and look() fails";
    if (write(answer_fd, text.data(), text.size()) < 0) _exit(1);
}

inline QString what_is_found(const SharedDirectory& directory, uid_t user = victim,
                             const std::vector<spool::GpuWanted>& wanted = gpus({"0"})) {
    int ends[2];
    if (pipe(ends) != 0) qFatal("pipe");
    Process process(user, directory.path, [&] { try_to_take(ends[1], wanted); });
    const int code = process.wait();
    close(ends[1]);
    char buffer[4096];
    const ssize_t size = read(ends[0], buffer, sizeof buffer);
    close(ends[0]);
    if (code != 0) return QString("ended with %1").arg(code);
    return QString::fromUtf8(buffer, size);
}

/// A process that does that, and then goes on to hold what it has.
inline Process doing(uid_t user, const SharedDirectory& directory,
                     const std::function<void()>& make) {
    int ends[2];
    if (pipe(ends) != 0) qFatal("pipe");
    Process process(user, directory.path, [&] {
        make();
        if (write(ends[1], "x", 1) != 1) _exit(1);
        close(ends[1]);
        for (;;)
            pause();
    });
    close(ends[1]);
    char ready = 0;
    if (read(ends[0], &ready, 1) != 1) qFatal("the other user's process has failed");
    close(ends[0]);
    return process;
}

}  // namespace test
