// From what the drivers say to the slots of the pool.
#include <QTest>

#include "libspool/gpu_pool.h"

using spool::Gpu;
using spool::GpuPool;
using spool::GpuPoolWishes;
using spool::GpuSituation;
using spool::GpuSlot;
using spool::GpuVendor;
using State = GpuSlot::State;

namespace {

constexpr std::uint64_t gibibyte = 1u << 30;

Gpu gpu(int index, const std::string& id, GpuVendor vendor = GpuVendor::nvidia) {
    Gpu out;
    out.id = id;
    out.vendor = vendor;
    out.index = index;
    out.pci = "0000:0" + std::to_string(index + 1) + ":00.0";
    out.name = "NVIDIA A100";
    out.memory_total = 80 * gibibyte;
    out.processes.emplace();
    return out;
}

GpuSituation with(std::vector<Gpu> gpus) {
    GpuSituation situation;
    situation.survey = {std::move(gpus), {}};
    return situation;
}

QStringList texts(const GpuPool& pool) {
    QStringList out;
    for (const GpuSlot& slot : pool.gpu_slots)
        out << QString::fromStdString(slot.text);
    return out;
}

QString reason(const GpuPool& pool, std::size_t slot) {
    return QString::fromStdString(pool.gpu_slots.at(slot).reason);
}

}  // namespace

class UnitGpuPool : public QObject {
    Q_OBJECT

private slots:
    void every_gpu_is_a_slot() {
        const GpuPool pool = spool::make_gpu_pool({}, with({gpu(0, "GPU-a"), gpu(1, "GPU-b")}));
        QVERIFY(pool.known);
        QCOMPARE(texts(pool), (QStringList{"0", "1"}));
        QCOMPARE(pool.gpu_slots[1].devices, (std::vector<std::string>{"GPU-b"}));
        QCOMPARE(pool.gpus.at("GPU-a").type, std::string("NVIDIA A100"));
        QCOMPARE(pool.gpus.at("GPU-a").memory, 80 * gibibyte);
        QCOMPARE(pool.devices.size(), std::size_t{2});
        QCOMPARE(pool.devices[0].status, std::string("free"));
    }

    void binding_by_uuid() {
        GpuPoolWishes wishes;
        wishes.bind_by_id = true;
        QCOMPARE(texts(spool::make_gpu_pool(wishes, with({gpu(0, "GPU-a")}))),
                 QStringList{"GPU-a"});
        QCOMPARE(texts(spool::make_gpu_pool(wishes, with({gpu(0, "pci-a", GpuVendor::amd)}))),
                 QStringList{"0"});
    }

    void nobody_knows_yet_is_not_none() {
        const GpuPool unasked = spool::make_gpu_pool({}, {});
        QVERIFY(!unasked.known);
        QVERIFY(unasked.problem.empty());
        QVERIFY(spool::make_gpu_pool({}, with({})).known);
        GpuSituation broken = with({});
        broken.survey->problems = {"Driver/library version mismatch"};
        const GpuPool pool = spool::make_gpu_pool({}, broken);
        QVERIFY(!pool.known);
        QCOMPARE(pool.problem, std::string("Driver/library version mismatch"));
    }

    /// The GPUs that are not listed may be the ones that jobs want.
    void a_broken_driver_is_not_replaced_by_another_vendors_gpu() {
        for (const GpuVendor other : {GpuVendor::amd, GpuVendor::intel}) {
            GpuSituation broken = with({gpu(0, "pci-a", other)});
            broken.survey->problems = {"Driver/library version mismatch"};
            const GpuPool pool = spool::make_gpu_pool({}, broken);
            QVERIFY(!pool.known);
            QVERIFY(pool.gpu_slots.empty());
        }
    }

    void one_vendor_is_used() {
        const GpuPool pool =
            spool::make_gpu_pool({}, with({gpu(0, "pci-a", GpuVendor::amd), gpu(0, "GPU-n"),
                                           gpu(0, "pci-i", GpuVendor::intel)}));
        QCOMPARE(texts(pool), QStringList{"0"});
        QCOMPARE(pool.gpu_slots[0].devices.front(), std::string("GPU-n"));
        QCOMPARE(pool.vendor, GpuVendor::nvidia);
        QCOMPARE(pool.devices[0].status, std::string("unused"));
        QVERIFY(!pool.devices[0].reason.empty());
        const GpuPool amd = spool::make_gpu_pool(
            {}, with({gpu(0, "pci-a", GpuVendor::amd), gpu(0, "pci-i", GpuVendor::intel)}));
        QCOMPARE(amd.vendor, GpuVendor::amd);
        QCOMPARE(texts(amd), QStringList{"0"});
        QVERIFY(
            spool::make_gpu_pool({}, with({gpu(0, "pci-i", GpuVendor::intel)})).gpu_slots.empty());
    }

    void instances_stand_for_the_gpu_that_they_divide() {
        Gpu instance = gpu(0, "MIG-1");
        instance.parent = "GPU-a";
        const GpuPool pool =
            spool::make_gpu_pool({}, with({gpu(0, "GPU-a"), instance, gpu(1, "GPU-b")}));
        QCOMPARE(texts(pool), (QStringList{"MIG-1", "1"}));
        QCOMPARE(pool.devices[0].reason, std::string("divided into MIG instances"));
        GpuPoolWishes wishes;
        wishes.drained["0"] = "";
        const GpuPool drained =
            spool::make_gpu_pool(wishes, with({gpu(0, "GPU-a"), instance, gpu(1, "GPU-b")}));
        QCOMPARE(drained.gpu_slots[0].state, State::drained);
        QCOMPARE(drained.gpu_slots[1].state, State::open);
        // Its parent's index is not its own.
        QVERIFY(!spool::is_called(pool.gpus.at("MIG-1"), "0"));
    }

    void a_divided_gpu_without_instances_is_left_out() {
        Gpu divided = gpu(0, "GPU-a");
        divided.divided = true;
        const GpuPool pool = spool::make_gpu_pool({}, with({divided, gpu(1, "GPU-b")}));
        QCOMPARE(texts(pool), QStringList{"1"});
        QVERIFY(pool.devices[0].reason.find("has no instances") != std::string::npos);
    }

    void what_cannot_compute_is_left_out() {
        Gpu old = gpu(0, "AMD-old", GpuVendor::amd);
        old.computes = false;
        const GpuPool pool = spool::make_gpu_pool({}, with({old}));
        QVERIFY2(pool.known && pool.gpu_slots.empty(), "jobs that say nothing run without a GPU");
        QCOMPARE(pool.devices[0].status, std::string("unused"));
        QVERIFY(pool.devices[0].reason.find("compute driver") != std::string::npos);
        const GpuPool both =
            spool::make_gpu_pool({}, with({old, gpu(1, "AMD-new", GpuVendor::amd)}));
        QCOMPARE(texts(both), QStringList{"1"});
    }

    void the_daemons_own_limits_hold_data() {
        QTest::addColumn<QByteArray>("visible");
        QTest::addColumn<QStringList>("slots_left");
        QTest::newRow("one") << QByteArray("1") << QStringList{"1"};
        QTest::newRow("by id") << QByteArray("GPU-aaaa") << QStringList{"0"};
        QTest::newRow("all, in another order") << QByteArray("1,0") << QStringList{"0", "1"};
        QTest::newRow("none") << QByteArray("") << QStringList{};
        QTest::newRow("none, as -1") << QByteArray("-1") << QStringList{};
    }
    void the_daemons_own_limits_hold() {
        QFETCH(QByteArray, visible);
        GpuPoolWishes wishes;
        wishes.visible[GpuVendor::nvidia] = visible.toStdString();
        QTEST(texts(spool::make_gpu_pool(wishes, with({gpu(0, "GPU-aaaa"), gpu(1, "GPU-bbbb")}))),
              "slots_left");
    }

    void what_may_not_be_opened_is_left_out() {
        Gpu closed = gpu(0, "GPU-a");
        closed.permitted = false;
        const GpuPool pool = spool::make_gpu_pool({}, with({closed, gpu(1, "GPU-b")}));
        QCOMPARE(texts(pool), QStringList{"1"});
        QVERIFY(pool.devices[0].reason.find("may not open") != std::string::npos);
    }

    void a_list_by_hand_is_given_verbatim_and_known_by_id() {
        GpuPoolWishes wishes;
        wishes.listed = {"0,1", "1", "81:00", "", "GPU-c"};
        Gpu third = gpu(2, "GPU-c");
        third.pci = "0000:81:00.0";
        const GpuPool pool =
            spool::make_gpu_pool(wishes, with({gpu(0, "GPU-a"), gpu(1, "GPU-b"), third}));
        QCOMPARE(texts(pool), (QStringList{"0,1", "1", "81:00", "", "GPU-c"}));
        QCOMPARE(pool.gpu_slots[0].devices, (std::vector<std::string>{"GPU-a", "GPU-b"}));
        QCOMPARE(pool.gpu_slots[2].devices, (std::vector<std::string>{"GPU-c"}));
        for (const GpuSlot& slot : pool.gpu_slots)
            QCOMPARE(slot.state, State::open);
    }

    void a_list_by_hand_without_a_driver_is_taken_at_its_word() {
        GpuPoolWishes wishes;
        wishes.listed = {"0", "7"};
        const GpuPool pool = spool::make_gpu_pool(wishes, with({}));
        QVERIFY(pool.known);
        QCOMPARE(pool.gpu_slots[1].state, State::open);
        QCOMPARE(pool.gpu_slots[1].devices, (std::vector<std::string>{"7"}));
    }

    void a_listed_gpu_that_is_not_there_is_not_used() {
        GpuPoolWishes wishes;
        wishes.listed = {"0", "7", "any"};
        const GpuPool pool = spool::make_gpu_pool(wishes, with({gpu(0, "GPU-a")}));
        QCOMPARE(pool.gpu_slots[0].state, State::open);
        QCOMPARE(pool.gpu_slots[1].state, State::unknown);
        QCOMPARE(reason(pool, 1), QString("this machine has no GPU 7"));
        QCOMPARE(pool.gpu_slots[2].state, State::open);
        GpuSituation broken = with({});
        broken.survey->problems = {"Driver Not Loaded"};
        QCOMPARE(reason(spool::make_gpu_pool(wishes, broken), 0), QString("Driver Not Loaded"));
        QCOMPARE(spool::make_gpu_pool(wishes, {}).gpu_slots[0].state, State::unknown);
    }

    void what_is_in_the_way_closes_a_slot() {
        Gpu used = gpu(0, "GPU-a");
        used.processes->push_back(
            {812, spool::GpuProcess::Kind::compute, gibibyte, "jupyter", "ada", {}, {}});
        Gpu lost = gpu(1, "GPU-b");
        lost.problem = "GPU is lost";
        GpuSituation situation = with({used, lost, gpu(2, "GPU-c"), gpu(3, "GPU-d")});
        situation.elsewhere["GPU-c"] = "used by job 7 of bob";
        GpuPoolWishes wishes;
        wishes.drained["3"] = "a bad fan";
        const GpuPool pool = spool::make_gpu_pool(wishes, situation);
        QCOMPARE(pool.gpu_slots[0].state, State::busy);
        QVERIFY(reason(pool, 0).contains("jupyter (pid 812 of ada"));
        QCOMPARE(pool.gpu_slots[1].state, State::unknown);
        QCOMPARE(reason(pool, 1), QString("GPU is lost"));
        QCOMPARE(pool.gpu_slots[2].state, State::elsewhere);
        QCOMPARE(reason(pool, 2), QString("used by job 7 of bob"));
        QCOMPARE(pool.gpu_slots[3].state, State::drained);
        QCOMPARE(reason(pool, 3), QString("drained: a bad fan"));
        QCOMPARE(pool.devices[3].status, std::string("drained"));
    }

    /// Its processes are strangers' here; that a spool has it says more.
    void what_another_spool_has_is_said_to_be_there() {
        Gpu used = gpu(0, "GPU-a");
        used.processes->push_back(
            {9, spool::GpuProcess::Kind::compute, {}, "python", "bob", {}, {}});
        GpuSituation situation = with({used});
        situation.elsewhere["GPU-a"] = "used by job 7 of bob";
        QCOMPARE(spool::make_gpu_pool({}, situation).gpu_slots[0].state, State::elsewhere);
    }

    void while_nobody_answers_nothing_is_known() {
        GpuSituation situation = with({gpu(0, "GPU-a")});
        situation.blind = "the driver hangs";
        const GpuPool pool = spool::make_gpu_pool({}, situation);
        QCOMPARE(pool.gpu_slots.at(0).state, State::unknown);
        QCOMPARE(reason(pool, 0), QString("the driver hangs"));
    }

    void one_closed_gpu_closes_the_slot() {
        GpuPoolWishes wishes;
        wishes.listed = {"0,1"};
        wishes.drained["1"] = "";
        const GpuPool pool = spool::make_gpu_pool(wishes, with({gpu(0, "GPU-a"), gpu(1, "GPU-b")}));
        QCOMPARE(pool.gpu_slots[0].state, State::drained);
        QCOMPARE(reason(pool, 0), QString("drained"));
    }

    void shared_memory_is_what_nobody_else_has() {
        Gpu shared = gpu(0, "GPU-a");
        const auto process = [](int pid, std::uint64_t bytes, const std::string& token) {
            return spool::GpuProcess{
                pid, spool::GpuProcess::Kind::compute, bytes * gibibyte, "python", "me", token, {}};
        };
        shared.memory_used = 30 * gibibyte;
        shared.processes = {process(1, 12, "t1"), process(2, 8, "t2"), process(3, 6, "t2")};
        GpuSituation situation = with({shared});
        // Job 1 keeps to its 20, job 2 uses 4 more than its 10; 4 are the driver's.
        situation.jobs = {{1, "x", "t1", {}, {"GPU-a"}, 20 * gibibyte},
                          {2, "y", "t2", {}, {"GPU-a"}, 10 * gibibyte}};
        const GpuPool pool = spool::make_gpu_pool({}, situation);
        const std::uint64_t driver = (4 * gibibyte) - (512u << 20);  // what is normal is nobody's
        QCOMPARE(pool.gpus.at("GPU-a").memory, (80 - 4) * gibibyte - driver);
    }

    void an_idle_gpu_can_be_shared_to_its_last_byte_data() {
        QTest::addColumn<quint64>("used");
        QTest::addColumn<quint64>("listed");
        QTest::addColumn<bool>("old_driver");
        QTest::addColumn<quint64>("left");
        constexpr quint64 mebibyte = 1 << 20, all = 80 * gibibyte;
        QTest::newRow("nothing is used") << quint64{0} << quint64{0} << false << all;
        QTest::newRow("the driver's own") << 512 * mebibyte << quint64{0} << false << all;
        QTest::newRow("more than that")
            << 600 * mebibyte << quint64{0} << false << all - 88 * mebibyte;
        QTest::newRow("a process beside it")
            << 1512 * mebibyte << 1000 * mebibyte << false << all - 1000 * mebibyte;
        QTest::newRow("with what an old driver reserves")
            << 3000 * mebibyte << quint64{0} << true << all;
    }
    void an_idle_gpu_can_be_shared_to_its_last_byte() {
        QFETCH(quint64, used);
        QFETCH(quint64, listed);
        QFETCH(bool, old_driver);
        QFETCH(quint64, left);
        Gpu idle = gpu(0, "GPU-a");
        idle.memory_used = used;
        idle.used_with_reserve = old_driver;
        if (listed > 0)
            idle.processes->push_back(
                {1, spool::GpuProcess::Kind::graphics, listed, "Xorg", "root", {}, {}});
        const GpuPool pool = spool::make_gpu_pool({}, with({idle}));
        QCOMPARE(quint64{pool.gpus.at("GPU-a").memory}, left);
    }

    void a_gpu_that_is_no_longer_listed_is_missed() {
        const spool::GpuSurvey known{{gpu(0, "GPU-a"), gpu(1, "GPU-b")}, {}};
        const auto now = spool::remember_gpus(known, {{gpu(0, "GPU-b")}, {}});
        QCOMPARE(now.gpus.size(), std::size_t{2});
        QCOMPARE(now.gpus[0].id, std::string("GPU-b"));
        QVERIFY(now.gpus[0].problem.empty());
        QCOMPARE(now.gpus[1].problem, std::string("its driver no longer lists it"));
        const auto broken = spool::remember_gpus(known, {{}, {"Driver Not Loaded"}});
        QCOMPARE(broken.gpus[1].problem, std::string("Driver Not Loaded"));
        // It is there again: as if nothing had been.
        const auto healed = spool::remember_gpus(broken, known);
        QVERIFY(healed == known);
    }

    void a_gpu_that_was_lost_at_first_is_one_gpu_when_it_is_back() {
        Gpu lost;
        lost.index = 1;
        lost.problem = "GPU is lost";
        const spool::GpuSurvey first{{gpu(0, "GPU-a"), lost}, {}};
        const spool::GpuSurvey well{{gpu(0, "GPU-a"), gpu(1, "GPU-b")}, {}};
        QVERIFY(spool::remember_gpus(first, well) == well);
    }

    void a_gpu_in_one_piece_again_has_no_instances() {
        Gpu divided = gpu(0, "GPU-a"), instance = gpu(0, "MIG-1");
        divided.divided = true;
        instance.parent = "GPU-a";
        const spool::GpuSurvey before{{divided, instance}, {}};
        const spool::GpuSurvey whole{{gpu(0, "GPU-a")}, {}};
        QVERIFY(spool::remember_gpus(before, whole) == whole);
        // While it is divided, or nobody knows what it is, an instance that is gone is missed.
        QCOMPARE(spool::remember_gpus(before, {{divided}, {}}).gpus.size(), std::size_t{2});
        Gpu lost = gpu(0, "GPU-a");
        lost.problem = "GPU is lost";
        QCOMPARE(spool::remember_gpus(before, {{lost}, {}}).gpus.size(), std::size_t{2});
    }
};

QTEST_GUILESS_MAIN(UnitGpuPool)
#include "unit_gpu_pool.moc"
