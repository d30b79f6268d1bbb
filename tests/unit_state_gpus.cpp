// The GPUs in state.json: all of what is known of a few, and less of each where there are very
// many, so that the jobs have room.
#include <QtTest>

#include "libspool/state.h"

using spool::SpoolState;

namespace {

constexpr std::size_t bound = 64 * 1024;
constexpr std::uint64_t gibibyte = 1u << 30;

std::string uuid(const char* kind, int number) {
    return kind + std::to_string(10'000'000 + number) + "-1111-2222-3333-444444444444";
}

spool::DeviceState device(int number, int processes) {
    spool::Gpu gpu;
    gpu.id = uuid("GPU-", number);
    gpu.index = number;
    gpu.pci = "0000:81:00.0";
    gpu.name = "NVIDIA A100-SXM4-80GB";
    gpu.memory_total = 80 * gibibyte;
    gpu.memory_used = 3 * gibibyte;
    gpu.utilisation = 97;
    gpu.temperature = 67;
    gpu.power = 301;
    gpu.processes.emplace();
    for (int i = 0; i < processes; ++i)
        gpu.processes->push_back(
            {12'345 + i, spool::GpuProcess::Kind::compute, 600u << 20, "python3", "ada", "", ""});
    return {gpu,
            "busy",
            "used by python3 (pid 12345 of ada, 600 MiB); if that does not matter: gpuspool gpus "
            "ignore 12345",
            {41, 42}};
}

/// Eight GPUs in eight instances each, with a job and processes on each, some of them strangers'.
SpoolState crowded() {
    SpoolState state;
    for (int gpu = 0; gpu < 8; ++gpu) {
        state.devices.push_back(device(gpu, 0));
        for (int i = 0; i < 8; ++i) {
            spool::DeviceState instance = device(8 * gpu + i, 8);
            instance.gpu.parent = instance.gpu.id;
            instance.gpu.id = uuid("MIG-", 8 * gpu + i);
            instance.gpu.name += " MIG 1g.10gb";
            instance.status = "held";
            if (i % 4 != 0) instance.reason.clear();
            state.gpus.push_back(
                {instance.gpu.id, 41, "train", {41}, "held", instance.reason, {instance.gpu.id}});
            spool::RunningState running;
            running.id = static_cast<std::uint64_t>(100 + 8 * gpu + i);
            running.name = "train-resnet";
            running.command = "python train.py --config resnet.yaml";
            running.directory = "/home/ada/projects/resnet";
            running.profile = "local";
            running.phase = "running";
            running.gpus = {instance.gpu.id};
            running.submitted_at = running.started_at = 1'795'249'800'123'000'000;
            state.running.push_back(running);
            state.devices.push_back(std::move(instance));
        }
    }
    for (std::uint64_t id = 1000; id < 1500; ++id)
        state.waiting.push_back({id,
                                 "sweep",
                                 "sweep.job",
                                 "python sweep.py",
                                 0,
                                 1'795'249'800'123'000'000,
                                 {spool::WaitReason::Kind::gpus, 1, 0, "", {}}});
    state.waiting_count = state.waiting.size();
    return state;
}

SpoolState published(const SpoolState& state) {
    const std::string written = spool::write_state(state);
    if (written.size() > bound) qFatal("%zu bytes", written.size());
    auto read = spool::read_state(written, "state.json");
    if (!read) qFatal("%s", read.error().text().c_str());
    return std::move(*read);
}

}  // namespace

class UnitStateGpus : public QObject {
    Q_OBJECT

private slots:
    void a_few_are_told_in_full() {
        SpoolState state = crowded();
        state.gpus.resize(8);
        state.running.resize(8);
        state.devices.clear();
        for (int gpu = 0; gpu < 8; ++gpu)
            state.devices.push_back(device(gpu, 8));
        const SpoolState read = published(state);
        QVERIFY(read.devices == state.devices);
        QVERIFY(read.gpus == state.gpus);
        QVERIFY(read.running == state.running);
        QVERIFY(read.waiting.size() > 50);
    }

    void of_many_processes_some_are_left_out() {
        SpoolState state;
        state.devices = {device(0, 200)};
        QCOMPARE(published(state).devices.at(0).gpu.processes->size(), std::size_t{8});
    }

    /// Jobs are what people look for.
    void very_many_leave_room_for_the_jobs() {
        const SpoolState state = crowded(), read = published(state);
        QVERIFY(read.gpus == state.gpus);
        QVERIFY(read.running == state.running);
        QVERIFY2(read.waiting.size() >= 20, qPrintable(QString::number(read.waiting.size())));
        QCOMPARE(read.waiting_count, state.waiting_count);
        // Of each GPU at least which it is and how it is used.
        QCOMPARE(read.devices.size(), state.devices.size());
        for (std::size_t i = 0; i < read.devices.size(); ++i) {
            const spool::DeviceState &told = read.devices[i], &known = state.devices[i];
            QCOMPARE(told.gpu.id, known.gpu.id);
            QCOMPARE(told.gpu.parent, known.gpu.parent);
            QCOMPARE(told.status, known.status);
            QCOMPARE(told.reason, known.reason);
            QVERIFY(told.jobs == known.jobs);
            // What is left out is not said to be none.
            QVERIFY(!told.gpu.processes || told.gpu.processes->size() == 8);
        }
    }

    void figures_come_before_processes() {
        SpoolState state;
        for (int gpu = 0; gpu < 40; ++gpu)
            state.devices.push_back(device(gpu, 8));
        const SpoolState read = published(state);
        QCOMPARE(read.devices.size(), std::size_t{40});
        for (const spool::DeviceState& told : read.devices) {
            QCOMPARE(told.gpu.utilisation, std::optional(97));
            QCOMPARE(told.gpu.memory_used, 3 * gibibyte);
        }
    }
};

QTEST_GUILESS_MAIN(UnitStateGpus)
#include "unit_state_gpus.moc"
