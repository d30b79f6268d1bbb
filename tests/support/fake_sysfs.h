// A /sys with GPUs of AMD's and Intel's in it, as their drivers lay it out.
//
//     FakeSysfs sysfs(spool.scratch("sys"));
//     sysfs.add_amd(0);
//     sysfs.set_amd_process(0, pid, 600);
#pragma once

#include <QDir>
#include <QFile>
#include <QFileInfo>

class FakeSysfs {
public:
    explicit FakeSysfs(const QString& root) : root_(root) { QDir().mkpath(root); }

    /// By rename, as what the kernel writes is never half there.
    void put(const QString& path, const QByteArray& text) const {
        const QString full = at(path);
        QDir().mkpath(QFileInfo(full).path());
        QFile file(full + ".new");
        const bool written = file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
        file.close();
        if (!written || ::rename(qPrintable(full + ".new"), qPrintable(full)) != 0)
            qFatal("cannot write %s", qPrintable(full));
    }
    void remove(const QString& path) const {
        if (!QFile::remove(at(path)) && !QDir(at(path)).removeRecursively())
            qFatal("cannot remove %s", qPrintable(path));
    }
    [[nodiscard]] QString at(const QString& path) const { return root_ + '/' + path; }

    /// A card of the kernel's, with its device behind a link; returns the device's directory.
    QString add_card(int number, const QString& address, const QByteArray& vendor) const {
        const QString device = "devices/pci0000:00/" + address;
        put(device + "/vendor", vendor + "\n");
        QDir().mkpath(at(QString("class/drm/card%1").arg(number)));
        QFile::link(at(device), at(QString("class/drm/card%1/device").arg(number)));
        return device;
    }
    /// A GPU as the compute driver has it: 16 bits of bus, device and function.
    void add_node(int number, const QByteArray& gpu_id, const QByteArray& location) const {
        const QString path = QString("class/kfd/kfd/topology/nodes/%1/").arg(number);
        put(path + "gpu_id", gpu_id + "\n");
        put(path + "properties",
            "cpu_cores_count 0\nsimd_count 304\nlocation_id " + location + "\ndomain 0\n");
    }

    /// AMD-00000N, 64 GiB.
    void add_amd(int number) const {
        const QString device = add_card(number, amd_address(number), "0x1002");
        put(device + "/mem_info_vram_total", QByteArray::number(mebibytes(65536)));
        put(device + "/mem_info_vram_used", QByteArray::number(mebibytes(10)));
        put(device + "/gpu_busy_percent", "0\n");
        put(device + "/unique_id", "00000" + QByteArray::number(number) + "\n");
        put(device + "/product_name", "Instinct MI210\n");
        add_node(number + 1, gpu_id(number), QByteArray::number((number + 3) << 8));
    }
    /// It is no longer there.
    void remove_amd(int number) const {
        remove(QString("class/drm/card%1").arg(number));
        remove(QString("class/kfd/kfd/topology/nodes/%1").arg(number + 1));
    }
    [[nodiscard]] QString amd_file(int number, const QString& name) const {
        return "devices/pci0000:00/" + amd_address(number) + '/' + name;
    }
    /// A process with so many MiB on this GPU; with 0 it has none there.
    void set_amd_process(int number, qint64 pid, qint64 memory) const {
        const QString directory = QString("class/kfd/kfd/proc/%1/").arg(pid);
        put(directory + "vram_" + gpu_id(number), QByteArray::number(mebibytes(memory)) + "\n");
        put(amd_file(number, "mem_info_vram_used"), QByteArray::number(mebibytes(memory + 10)));
    }

    void add_intel(int number, qint64 total = 0, qint64 free = 0) const {
        const QString device = add_card(number, QString("0000:00:0%1.0").arg(number + 2), "0x8086");
        if (total == 0) return;
        const QString card = device + QString("/drm/card%1/lmem_").arg(number);
        put(card + "total_bytes", QByteArray::number(mebibytes(total)));
        put(card + "avail_bytes", QByteArray::number(mebibytes(free)));
    }

private:
    static QString amd_address(int number) { return QString("0000:0%1:00.0").arg(number + 3); }
    static QByteArray gpu_id(int number) { return QByteArray::number(51230 + number); }
    static qint64 mebibytes(qint64 count) { return count << 20; }

    QString root_;
};
