// The processes of this machine, by what stands in their command line.
#pragma once

#include <QByteArray>
#include <QDir>
#include <QFile>

namespace test {

/// Processes one of whose arguments contains `word`.
inline int processes_with(const QByteArray& word) {
    int count = 0;
    for (const QString& entry : QDir("/proc").entryList(QDir::Dirs)) {
        QFile file("/proc/" + entry + "/cmdline");
        if (file.open(QIODevice::ReadOnly) && file.readAll().contains(word)) ++count;
    }
    return count;
}

}  // namespace test
