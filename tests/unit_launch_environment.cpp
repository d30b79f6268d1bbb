// What a job finds in its environment.
#include <QTest>
#include <set>
#include <string>

#include "libspool/gpu_slots.h"
#include "tests/launch_job.h"

using spool::Environment;
using spool::GpuVendor;
using test::command_job;
using Job = test::LaunchJob;

class LaunchEnvironmentTest : public QObject {
    Q_OBJECT

private slots:
    void job_variables();
    void layers();
    void job_variables_cannot_be_overridden();
    void unless_set_data();
    void unless_set();
    void omp_threads();
    void ports_differ();
    void slurm_variables();
    void gpus_data();
    void gpus();
};

void LaunchEnvironmentTest::job_variables() {
    const Job job;
    QCOMPARE(job.value("GPUSPOOL_JOB_ID"), "42");
    QCOMPARE(job.value("GPUSPOOL_JOB_NAME"), "x");
    QCOMPARE(job.value("GPUSPOOL_DIR"), "/home/u/.gpuspool");
    QCOMPARE(job.value("GPUSPOOL_TOKEN"), "t0k");
    QCOMPARE(job.value("GPUSPOOL_ATTEMPT"), "2");
    QCOMPARE(job.value("PYTHONUNBUFFERED"), "1");
    QCOMPARE(job.value("MASTER_PORT"), QString::number(spool::master_port(42)));
    QCOMPARE(job.value("PET_MASTER_PORT"), QString::number(spool::master_port(42)));
    QCOMPARE(job.value("SLURM_JOB_ID"), "(absent)");
}

void LaunchEnvironmentTest::layers() {
    Job job;
    job.base = {{"A", "base"}, {"B", "base"}, {"C", "base"}};
    job.config.environment = {{"B", "config"}, {"C", "config"}};
    job.spec.environment = {{"C", "job"}};
    QCOMPARE(job.value("A"), "(absent)");
    QCOMPARE(job.value("B"), "config");
    QCOMPARE(job.value("C"), "job");
}

void LaunchEnvironmentTest::job_variables_cannot_be_overridden() {
    Job job;
    job.base = {{"GPUSPOOL_JOB_ID", "1"}};
    job.config.environment = {{"GPUSPOOL_TOKEN", "1"}};
    job.spec.environment = {{"GPUSPOOL_TOKEN", "2"}};
    QCOMPARE(job.value("GPUSPOOL_JOB_ID"), "42");
    QCOMPARE(job.value("GPUSPOOL_TOKEN"), "t0k");
}

void LaunchEnvironmentTest::unless_set_data() {
    QTest::addColumn<QString>("name");
    for (const char* name : {"PYTHONUNBUFFERED", "MASTER_PORT", "PET_MASTER_PORT"})
        QTest::newRow(name) << name;
}

void LaunchEnvironmentTest::unless_set() {
    QFETCH(QString, name);
    Job base, config, job;
    base.base = config.config.environment = job.spec.environment = {{name.toStdString(), "7"}};
    QCOMPARE(base.value(name.toStdString()), "(absent)");
    QCOMPARE(config.value(name.toStdString()), "7");
    QCOMPARE(job.value(name.toStdString()), "7");
}

void LaunchEnvironmentTest::omp_threads() {
    Job job;
    job.base = {{"OMP_NUM_THREADS", "64"}};
    QCOMPARE(job.value("OMP_NUM_THREADS"), "(absent)");
    job.spec.cpus = 4;
    QCOMPARE(job.value("OMP_NUM_THREADS"), "4");
    job.spec.environment = {{"OMP_NUM_THREADS", "1"}};
    QCOMPARE(job.value("OMP_NUM_THREADS"), "1");
}

void LaunchEnvironmentTest::ports_differ() {
    std::set<int> ports;
    for (std::uint64_t number = 990'000; number < 1'000'000; ++number) {
        const int port = spool::master_port(number);
        QVERIFY(port >= 20000 && port <= 29999);
        QVERIFY2(ports.insert(port).second, qPrintable(QString::number(number)));
        QVERIFY(std::abs(port - spool::master_port(number + 1)) > 1000);
    }
}

void LaunchEnvironmentTest::slurm_variables() {
    Job job;
    job.sbatch_lines = true;
    QCOMPARE(job.value("SLURM_JOB_ID"), "42");
    QCOMPARE(job.value("SLURM_JOB_NAME"), "x");
    QCOMPARE(job.value("SLURM_SUBMIT_DIR"), "/home/u");
    QCOMPARE(job.value("SLURM_CPUS_PER_TASK"), "(absent)");
    job.spec.submit.emplace().directory = "/data";
    job.spec.directory = "/elsewhere";
    job.spec.cpus = 3;
    QCOMPARE(job.value("SLURM_SUBMIT_DIR"), "/data");
    QCOMPARE(job.value("SLURM_CPUS_PER_TASK"), "3");
    QCOMPARE(job.value("SLURM_NTASKS"), "(absent)");
    QCOMPARE(job.value("SLURM_TASKS_PER_NODE"), "1");
    QCOMPARE(job.value("SLURM_PROCID"), "(absent)");
    job.spec.tasks = 4;
    QCOMPARE(job.value("SLURM_NTASKS"), "4");
    QCOMPARE(job.value("SLURM_TASKS_PER_NODE"), "4");
    QCOMPARE(spool::need_of(job.spec).cpus, 12);
    job.spec.cpus.reset();
    QCOMPARE(spool::need_of(job.spec).cpus, 4);
}

void LaunchEnvironmentTest::gpus_data() {
    QTest::addColumn<QStringList>("slots_given");
    QTest::addColumn<QString>("cuda");
    QTest::addColumn<QString>("container");
    QTest::addColumn<QString>("hip");
    QTest::newRow("none") << QStringList{} << ""
                          << "void"
                          << "";
    QTest::newRow("without a GPU") << QStringList{""} << ""
                                   << "void"
                                   << "";
    QTest::newRow("one") << QStringList{"2"} << "2"
                         << "2"
                         << "0";
    QTest::newRow("two") << QStringList{"2", "0"} << "2,0"
                         << "2,0"
                         << "0,1";
    QTest::newRow("double slot") << QStringList{"2,3"} << "2,3"
                                 << "2,3"
                                 << "0,1";
    QTest::newRow("UUID") << QStringList{"GPU-1f2e"} << "GPU-1f2e"
                          << "GPU-1f2e"
                          << "0";
    QTest::newRow("some without") << QStringList{"", "1", ""} << "1"
                                  << "1"
                                  << "0";
}

void LaunchEnvironmentTest::gpus() {
    QFETCH(QStringList, slots_given);
    QFETCH(QString, cuda);
    QFETCH(QString, container);
    QFETCH(QString, hip);
    std::vector<std::string> slot_list;
    for (const QString& slot : slots_given)
        slot_list.push_back(slot.toStdString());
    const Environment nvidia{{"CUDA_DEVICE_ORDER", "PCI_BUS_ID"},
                             {"CUDA_VISIBLE_DEVICES", cuda.toStdString()},
                             {"NVIDIA_VISIBLE_DEVICES", container.toStdString()}};
    const Environment amd{{"ROCR_VISIBLE_DEVICES", cuda.toStdString()},
                          {"HIP_VISIBLE_DEVICES", hip.toStdString()},
                          {"CUDA_VISIBLE_DEVICES", hip.toStdString()}};
    QVERIFY(spool::gpu_environment(slot_list, GpuVendor::nvidia) == nvidia);
    QVERIFY(spool::gpu_environment(slot_list, GpuVendor::amd) == amd);
}

QTEST_GUILESS_MAIN(LaunchEnvironmentTest)
#include "unit_launch_environment.moc"
