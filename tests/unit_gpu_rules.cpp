// Rules on GPUs that name what they mean in other words: GPUs for their instances, programs by more
// than the kernel keeps of their names.
#include <QTest>

#include "libspool/gpu_pool.h"

using spool::Gpu;
using State = spool::GpuSlot::State;

namespace {

Gpu whole(int index, const std::string& id) {
    Gpu gpu;
    gpu.id = id;
    gpu.index = index;
    gpu.pci = "0000:8" + std::to_string(index) + ":00.0";
    gpu.memory_total = 80ull << 30;
    gpu.processes.emplace();
    return gpu;
}

Gpu instance(Gpu of, const std::string& id) {
    of.parent = of.id;
    of.id = id;
    of.divided = false;
    return of;
}

/// GPU 0 in two instances, GPU 1 in one, GPU 2 whole.
spool::GpuSituation three_gpus() {
    Gpu first = whole(0, "GPU-aaaaaaaa"), second = whole(1, "GPU-bbbbbbbb");
    first.divided = second.divided = true;
    spool::GpuSituation situation;
    situation.survey = {{first, instance(first, "MIG-11111111"), instance(first, "MIG-22222222"),
                         second, instance(second, "MIG-33333333"), whole(2, "GPU-cccccccc")},
                        {}};
    return situation;
}

}  // namespace

class UnitGpuRules : public QObject {
    Q_OBJECT

private slots:
    void allowed_by_root_data() {
        QTest::addColumn<QStringList>("allowed");
        QTest::addColumn<QStringList>("open");
        const auto row = [](const QStringList& allowed, const QStringList& open) {
            QTest::addRow("%s", qPrintable(allowed.join(' '))) << allowed << open;
        };
        row({"0"}, {"MIG-11111111", "MIG-22222222"});
        row({"1"}, {"MIG-33333333"});
        row({"0", "2"}, {"MIG-11111111", "MIG-22222222", "2"});
        row({"GPU-aaaaaaaa"}, {"MIG-11111111", "MIG-22222222"});
        row({"0000:81:00.0"}, {"MIG-33333333"});
        row({"82:00.0"}, {"2"});
        row({"MIG-22222222"}, {"MIG-22222222"});
        row({"MIG-22222222", "GPU-cccc"}, {"MIG-22222222", "2"});
        row({"7"}, {});
    }
    void allowed_by_root() {
        QFETCH(QStringList, allowed);
        spool::GpuPoolWishes wishes;
        wishes.allowed.emplace();
        for (const QString& name : allowed)
            wishes.allowed->push_back(name.toStdString());
        const spool::GpuPool pool = spool::make_gpu_pool(wishes, three_gpus());
        QCOMPARE(pool.gpu_slots.size(), std::size_t{4});
        QStringList open;
        for (const spool::GpuSlot& slot : pool.gpu_slots) {
            if (slot.state == State::open) open << QString::fromStdString(slot.text);
            const bool kept = slot.reason == "kept from jobs by /etc/gpuspool/config.json";
            QCOMPARE(kept, slot.state != State::open);
        }
        QTEST(open, "open");
    }

    void ignored_programs_data() {
        QTest::addColumn<QString>("program");  // as the kernel calls it
        QTest::addColumn<QString>("ignored");
        QTest::addColumn<bool>("free");
        const auto row = [](const char* program, const char* ignored, bool free) {
            QTest::addRow("%s by %s", program, ignored) << program << ignored << free;
        };
        row("jupyter", "jupyter", true);
        row("jupyter", "jupyter-notebook", false);
        row("jupyter-noteboo", "jupyter-notebook", true);
        row("jupyter-noteboo", "jupyter-noteboo", true);
        row("jupyter-noteboo", "jupyter-noteboots", true);  // the same, as far as can be told
        row("jupyter-noteboo", "jupyter", false);
        row("jupyter-lab", "jupyter-notebook", false);
        row("jupyter", "Jupyter", false);
        row("", "jupyter", false);
        row("", "", false);
    }
    void ignored_programs() {
        QFETCH(QString, program);
        QFETCH(QString, ignored);
        Gpu gpu = whole(0, "GPU-aaaaaaaa");
        gpu.processes->push_back({812, spool::GpuProcess::Kind::compute, 600u << 20,
                                  program.toStdString(), "ada", "", ""});
        spool::GpuRules rules;
        rules.ignored_programs = {"another", ignored.toStdString()};
        const spool::GpuUse use = spool::gpu_use(gpu, {}, rules);
        QTEST(use.kind == spool::GpuUse::Kind::free, "free");
    }
};

QTEST_GUILESS_MAIN(UnitGpuRules)
#include "unit_gpu_rules.moc"
