// A scratch directory of GPU locks, and the spools that use it.
#pragma once

#include <QDir>
#include <QTemporaryDir>
#include <optional>
#include <variant>
#include <vector>

#include "libspool/gpu_lock.h"

namespace test {

class Locks {
public:
    QTemporaryDir directory;

    [[nodiscard]] std::string path() const { return directory.path().toStdString(); }
    [[nodiscard]] spool::GpuLocks of(
        const std::string& mark,
        spool::LockDirectory::Making making = spool::LockDirectory::Making::unnamed) const {
        auto locks = spool::GpuLocks::open(path(), mark, "/home/" + mark, making);
        if (!locks) qFatal("%s", locks.error().text().c_str());
        return std::move(*locks);
    }
    [[nodiscard]] QStringList files() const {
        return QDir(directory.path())
            .entryList(QDir::AllEntries | QDir::Hidden | QDir::System | QDir::NoDotAndDotDot,
                       QDir::Name);
    }
};

inline std::vector<spool::GpuWanted> gpus(const std::vector<std::string>& ids) {
    std::vector<spool::GpuWanted> all;
    for (const std::string& id : ids)
        all.push_back({id, {}});
    return all;
}

/// The lock, or nothing if another spool has it.
inline std::optional<spool::GpuLock> take(spool::GpuLocks& locks,
                                          const std::vector<spool::GpuWanted>& wanted) {
    auto answer = locks.take(wanted, 7);
    if (!answer) qFatal("%s", answer.error().text().c_str());
    if (auto* lock = std::get_if<spool::GpuLock>(&*answer)) return std::move(*lock);
    return std::nullopt;
}

}  // namespace test
