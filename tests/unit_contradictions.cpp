// Wishes that exclude each other: refused in what is to become a job, with the line with which they
// do; not in what was taken once.
#include "libspool/contradictions.h"
#include "tests/rejections.h"

class UnitContradictions : public QObject {
    Q_OBJECT

private slots:
    void a_new_job_is_refused_with_its_line_data() { rows(); }
    void a_new_job_is_refused_with_its_line() { test::check_rejection(); }

    void what_was_taken_once_is_read_data() { rows(); }
    void what_was_taken_once_is_read() {
        QFETCH(QByteArray, text);
        const auto spec = spool::read_job_file(text.toStdString(), "x.job");
        QVERIFY2(spec, spec ? "" : spec.error().text().c_str());
        QVERIFY(spool::contradiction(*spec));
    }

    void a_later_line_may_mend_it() {
        const auto gpu =
            test::read_accepted("#SPOOL --gpus=0 --gpu-type=a100\n#SPOOL --gpus=1\ntrue\n");
        QCOMPARE(gpu.gpus, std::optional(1));
        const auto retried = test::read_accepted("#SPOOL --retry-on=1\n#SPOOL --retries=2\ntrue\n");
        QCOMPARE(retried.rules.retries, 2);
    }

private:
    static void rows() {
        const auto row = test::add_rejection;
        test::add_rejection_columns();
        row("#SPOOL --gpus=0\n#SPOOL --gpu-mem=1G\ntrue", 2, "--gpus=0 asks for no GPU");
        row("#SPOOL --gpu-type=a100\n#SBATCH --gres=gpu:0\ntrue", 1, "--gpu-type");
        row("#SPOOL --gpus=0 --gpu-ids=1\n#SPOOL --gpus=1\n#SPOOL --gpus=0\ntrue", 3, "--gpu-ids");
        row("#SPOOL --gpus=3\n\n#SPOOL --gpu-ids=1,2\ntrue", 3, "more GPUs than --gpu-ids");
        row("#SPOOL --gpu-ids=1,2\n#SPOOL --gpu-avoid=2,1\ntrue", 2, "none is left");
        row("#SPOOL --retry-on=1\ntrue", 1, "add --retries=N");
        row("{\"command\": [\"true\"],\n\"gpus\": 0,\n\"gpu_type\": \"a100\"}", 3, "--gpu-type");
        row("{\"command\": [\"true\"],\n\"retry_on\": \"1\"}", 2, "add --retries=N");
    }
};

QTEST_GUILESS_MAIN(UnitContradictions)
#include "unit_contradictions.moc"
