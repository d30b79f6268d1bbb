// What jobs may wish of GPUs, and which slots make up a wish.
#include <QTest>

#include "libspool/gpu_slots.h"
#include "libspool/slot_choice.h"

using spool::GpuSlot;
using spool::Need;
using spool::Pool;
using spool::PoolGpu;

namespace {

PoolGpu h100() {
    return {{"GPU-8f6d02a1-77", "3", "0000:81:00.0"}, "NVIDIA H100 80GB HBM3", false, 80, 80};
}

}  // namespace

class UnitGpuSlots : public QObject {
    Q_OBJECT

private slots:
    void a_slot_names_no_gpu_twice() {
        QCOMPARE(spool::make_gpu_slot("0, 1,0").devices, (std::vector<std::string>{"0", "1"}));
    }

    void a_wish_names_no_gpu_twice() {
        spool::JobSpec spec;
        spec.gpu_ids = {"1", "0", "1"};
        const Need need = spool::need_of(spec);
        QCOMPARE(need.gpu_ids, (std::vector<std::string>{"1", "0"}));
        QCOMPARE(need.wanted_gpus(), std::optional<std::size_t>(2));
    }

    void names_that_may_mean_the_same_data() {
        QTest::addColumn<QByteArray>("a");
        QTest::addColumn<QByteArray>("b");
        QTest::addColumn<bool>("same");
        const auto row = [](const char* a, const char* b, bool same) {
            QTest::addRow("%s and %s", a, b) << QByteArray(a) << QByteArray(b) << same;
        };
        row("0", "0", true);
        row("0", "1", false);
        row("1", "10", false);
        row("01", "1", true);
        row("00", "0", true);
        row("81:00.0", "0000:81:00.0", true);
        row("0000:81:00.0", "00000000:81:00.0", true);
        row("81:00", "82:00", false);
        row("GPU-8f6d02a1", "gpu-8f6d02a1-77", true);
        row("GPU-8f6d02a1", "GPU-8f6d02a2", false);
        row("MIG-1", "MIG-2", false);
        row("GPU-1", "MIG-1", true);
        row("0", "81:00.0", true);
        row("0", "GPU-8f6d02a1", true);
    }
    void names_that_may_mean_the_same() {
        QFETCH(QByteArray, a);
        QFETCH(QByteArray, b);
        QTEST(spool::may_be_same_gpu(a.toStdString(), b.toStdString()), "same");
        QTEST(spool::may_be_same_gpu(b.toStdString(), a.toStdString()), "same");
    }

    void names_data() {
        QTest::addColumn<QByteArray>("name");
        QTest::addColumn<bool>("is_called");
        const auto row = [](const char* name, bool is_called) {
            QTest::newRow(name) << QByteArray(name) << is_called;
        };
        row("3", true);
        row("03", false);
        row("33", false);
        row("", false);
        row("GPU-8f6d02a1-77", true);
        row("gpu-8F6D02A1-77", true);
        row("GPU-8f6d", true);
        row("GPU-8f6", false);  // too short to be meant
        row("GPU-8f6e", false);
        row("0000:81:00.0", true);
        row("81:00.0", true);
        row("81:00", true);
        row("00000000:81:00.0", true);
        row("82:00", false);
        row("81", false);
    }
    void names() {
        QFETCH(QByteArray, name);
        QTEST(spool::is_called(h100(), name.toStdString()), "is_called");
    }

    void types_data() {
        QTest::addColumn<QByteArray>("type");
        QTest::addColumn<QByteArray>("wish");
        QTest::addColumn<bool>("is_type");
        const auto row = [](const char* type, const char* wish, bool is_type) {
            QTest::addRow("%s: %s", type, wish) << QByteArray(type) << QByteArray(wish) << is_type;
        };
        row("NVIDIA H100 80GB HBM3", "h100", true);
        row("NVIDIA H100 80GB HBM3", "H100-80GB", true);
        row("NVIDIA H100 80GB HBM3", "h100 nvidia", true);
        row("NVIDIA H100 80GB HBM3", "h10", false);
        row("NVIDIA H100 80GB HBM3", "100", false);
        row("NVIDIA H100 80GB HBM3", "a100", false);
        row("NVIDIA GeForce RTX 3090", "rtx3090", true);
        row("NVIDIA GeForce RTX 3090", "RTX 3090", true);
        row("NVIDIA GeForce RTX 3090", "geforce_rtx_3090", true);
        row("NVIDIA GeForce RTX 3090", "3090", true);
        row("NVIDIA GeForce RTX 3090 Ti", "rtx3090", true);
        row("NVIDIA GeForce RTX 3090", "rtx3090ti", false);
        row("NVIDIA A100-SXM4-80GB", "a10", false);
        row("NVIDIA A100-SXM4-80GB", "-", false);
        row("", "a100", false);
    }
    void types() {
        QFETCH(QByteArray, type);
        QFETCH(QByteArray, wish);
        QTEST(spool::is_type(type.toStdString(), wish.toStdString()), "is_type");
    }

    void a_slot_suits_if_all_its_gpus_do_data() {
        QTest::addColumn<Need>("need");
        QTest::addColumn<bool>("suits");
        const auto row = [](const char* name, bool suits, auto set) {
            Need need;
            set(need);
            QTest::newRow(name) << need << suits;
        };
        row("no wish", true, [](Need&) {});
        row("type", true, [](Need& need) { need.gpu_type = "a100"; });
        row("type of one only", false, [](Need& need) { need.gpu_type = "80gb"; });
        row("ids of both", true, [](Need& need) { need.gpu_ids = {"1", "0", "7"}; });
        row("id of one", false, [](Need& need) { need.gpu_ids = {"1"}; });
        row("one is avoided", false, [](Need& need) { need.gpu_avoid = {"1"}; });
        row("another is avoided", true, [](Need& need) { need.gpu_avoid = {"2"}; });
        row("memory that both have", true, [](Need& need) { need.gpu_memory = 40; });
        row("memory that one has", false, [](Need& need) { need.gpu_memory = 41; });
    }
    void a_slot_suits_if_all_its_gpus_do() {
        QFETCH(Need, need);
        Pool pool;
        pool.gpus["a"] = {{"a", "0"}, "NVIDIA A100 40GB", false, 40, 40};
        pool.gpus["b"] = {{"b", "1"}, "NVIDIA A100 80GB", false, 80, 80};
        GpuSlot slot = spool::make_gpu_slot("0,1");
        slot.devices = {"a", "b"};
        QTEST(spool::suits(pool, slot, need), "suits");
    }

    void what_is_only_a_text_has_no_type_and_no_memory() {
        const GpuSlot slot = spool::make_gpu_slot("0");
        Need type, memory, id;
        type.gpu_type = "a100";
        memory.gpu_memory = 1;
        id.gpu_ids = {"0"};
        QVERIFY(!spool::suits({}, slot, type));
        QVERIFY(!spool::suits({}, slot, memory));
        QVERIFY(spool::suits({}, slot, id));
        QVERIFY(!spool::suits({}, spool::make_gpu_slot(""), id));
    }

    void choices_data() {
        QTest::addColumn<QStringList>("candidates");
        QTest::addColumn<int>("wanted");
        QTest::addColumn<QList<int>>("chosen");
        const auto row = [](const QStringList& candidates, int wanted, const QList<int>& chosen) {
            QTest::addRow("%s: %d", qPrintable(candidates.join(" ")), wanted)
                << candidates << wanted << chosen;
        };
        row({"0", "1", "2"}, 2, {0, 1});
        row({"0", "1", "2,3"}, 2, {2});
        row({"0,1,2", "3", "4"}, 2, {1, 2});
        row({"0,1", "2,3"}, 1, {0});
        row({"0,1", "2,3"}, 3, {0, 1});
        row({"0", "0", "1"}, 2, {0, 2});
        row({"0", "0"}, 2, {});
        row({"0"}, 2, {});
        row({}, 1, {});
        row({""}, 1, {});
        // Where the first that comes to hand spoils the rest.
        row({"1,2", "0,1", "2,3"}, 4, {1, 2});
        row({"0,1,2", "3", "0,1", "2,3"}, 4, {0, 1});
        row({"0,1,2", "2,3", "0,1"}, 4, {1, 2});
        row({"0,1,2", "0", "3,4,5"}, 4, {1, 2});
    }
    void choices() {
        QFETCH(QStringList, candidates);
        QFETCH(int, wanted);
        QFETCH(QList<int>, chosen);
        std::vector<spool::SlotCandidate> list;
        for (const QString& text : candidates)
            list.push_back({list.size(), spool::make_gpu_slot(text.toStdString()).devices});
        const auto found = spool::choose_slots(list, static_cast<std::size_t>(wanted));
        QList<int> indexes;
        if (found)
            for (const std::size_t slot : *found)
                indexes << static_cast<int>(slot);
        QCOMPARE(indexes, chosen);
    }

    /// The best first, whatever their place in the pool; named in the order of the pool.
    void the_best_candidates_are_chosen() {
        const std::vector<spool::SlotCandidate> candidates = {{5, {"5"}}, {2, {"2"}}, {0, {"0"}}};
        QCOMPARE(spool::choose_slots(candidates, 2), (std::vector<std::size_t>{2, 5}));
    }

    void many_slots_do_not_take_for_ever() {
        std::vector<spool::SlotCandidate> candidates;
        for (std::size_t slot = 0; slot < 256; ++slot)
            candidates.push_back({slot, {std::to_string(slot), std::to_string(slot + 1)}});
        QBENCHMARK_ONCE {
            QVERIFY(spool::choose_slots(candidates, 64));
            QVERIFY(!spool::choose_slots(candidates, 500));
        }
    }
};

QTEST_GUILESS_MAIN(UnitGpuSlots)
#include "unit_gpu_slots.moc"
