// GPUs that are not there: a scenario for the NVML that the tests build (fake_nvml/nvml.cpp).
//
//     FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
//     QVERIFY(spool.start());
//     gpus.set_processes(0, {{pid, 600}});
#pragma once

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

#include "tests/support/daemon.h"

class FakeGpus {
public:
    struct Process {
        qint64 pid = 0;
        int memory = 100;  ///< MiB
    };

    /// What is started in `spool` from now on finds these GPUs.
    FakeGpus(TestSpool& spool, const QJsonArray& gpus) : path_(spool.scratch("gpus.json")) {
        spool.environment.insert("GPUSPOOL_NVML", FAKE_NVML_NEW);
        spool.environment.insert("FAKE_NVML", path_);
        scenario_["gpus"] = gpus;
        write();
    }

    /// Named GPU-0000000N, 80 GiB.
    static QJsonObject a100(int index) {
        return {{"uuid", QString("GPU-0000000%1").arg(index)},
                {"name", "NVIDIA A100-SXM4-80GB"},
                {"pci", QString("00000000:0%1:00.0").arg(index + 1)},
                {"minor", 200 + index},
                {"total", 81920},
                {"used", 5},
                {"utilization", 0},
                {"temperature", 30},
                {"power", 50'000},
                {"display", 0}};
    }

    /// One at work, as far as figures say.
    static QJsonObject busy_a100(int index) {
        QJsonObject gpu = a100(index);
        gpu["used"] = 60'000;
        gpu["utilization"] = 97;
        gpu["temperature"] = 67;
        gpu["power"] = 301'400;
        return gpu;
    }

    /// Changes a member of one GPU.
    void set(int index, const QString& key, const QJsonValue& value) {
        QJsonArray gpus = scenario_["gpus"].toArray();
        QJsonObject gpu = gpus[index].toObject();
        gpu[key] = value;
        gpus[index] = gpu;
        scenario_["gpus"] = gpus;
        write();
    }
    void set_gpus(const QJsonArray& gpus) { set("gpus", gpus); }
    /// Changes a member of the whole: "init", "count", "hang".
    void set(const QString& key, const QJsonValue& value) {
        scenario_[key] = value;
        write();
    }
    void set_processes(int index, const QList<Process>& processes) {
        QJsonArray list;
        int used = 5;
        for (const Process& process : processes) {
            list.append(QJsonObject{{"pid", process.pid}, {"memory", process.memory}});
            used += process.memory;
        }
        set(index, "used", used);
        set(index, "compute", list);
    }

private:
    /// By rename: it is read at any moment.
    void write() const {
        QFile file(path_ + ".new");
        const QByteArray text = QJsonDocument(scenario_).toJson();
        const bool written = file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
        file.close();
        if (!written || ::rename(qPrintable(path_ + ".new"), qPrintable(path_)) != 0)
            qFatal("the scenario of the GPUs cannot be written");
    }

    QString path_;
    QJsonObject scenario_;
};
