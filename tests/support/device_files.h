// Files that stand for those in /dev, and a user who may open no more than their modes allow: root
// may open everything.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QStringList>

class DeviceFiles {
public:
    /// In the directory `root`. "0" withdraws every right to the file before it.
    DeviceFiles(QString root, const QStringList& files) : root_(std::move(root)) {
        QDir().mkpath(root_);
        open_to_all(root_);
        QString last;
        for (const QString& name : files)
            if (name == "0")
                set_mode(last, 0);
            else
                make(last = root_ + '/' + name);
    }
    [[nodiscard]] QString path() const { return root_; }

    /// Makes a directory such that everybody may look into it.
    static bool open_to_all(const QString& directory) {
        return chmod(qPrintable(directory), 0755) == 0;
    }

private:
    static void make(const QString& path) {
        QDir().mkpath(QFileInfo(path).path());
        open_to_all(QFileInfo(path).path());
        QFile file(path);
        if (!file.open(QIODevice::WriteOnly)) qFatal("cannot write %s", qPrintable(path));
        set_mode(path, 0666);
    }
    static void set_mode(const QString& path, mode_t mode) {
        if (chmod(qPrintable(path), mode) != 0) qFatal("cannot chmod %s", qPrintable(path));
    }

    QString root_;
};

/// As long as it lives this process is no more than any user; nothing changes where it is none but
/// one anyway.
class AsAnybody {
public:
    AsAnybody() : was_root_(geteuid() == 0) {
        if (was_root_ && seteuid(65534) != 0) qFatal("seteuid");
    }
    ~AsAnybody() {
        if (was_root_ && seteuid(0) != 0) qFatal("seteuid");
    }
    AsAnybody(const AsAnybody&) = delete;
    AsAnybody& operator=(const AsAnybody&) = delete;

private:
    bool was_root_;
};
