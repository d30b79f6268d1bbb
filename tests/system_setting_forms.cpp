// Every setting of a job reads the same, whichever of the four forms says it.
#include <QtTest>
#include <set>

#include "libspool/job_file.h"
#include "libspool/settings.h"
#include "tests/support/cli.h"
#include "tests/support/job_forms.h"

namespace {

struct Row {
    const char* title;
    Wish wish;
};

const std::vector<Row>& rows() {
    static const std::vector<Row> all{
        {"gpus", {{{"gpus", "2"}}, "--gpus=2", {"-g", "2"}}},
        {"gres", {{{"gpus", "2"}}, "--gres=gpu:2", {"--gpus=2"}}},
        {"gpu-mem", {{{"gpu-mem", "10G"}}, "", {"--gpu-mem", "10G"}}},
        {"gpu-type", {{{"gpu-type", "a100"}}, "", {"--gpu-type", "a100"}}},
        {"gpu-ids", {{{"gpu-ids", "1,3"}}, "", {"--gpu-ids", "1,3"}}},
        {"gpu-avoid", {{{"gpu-avoid", "0"}}, "", {"--gpu-avoid", "0"}}},
        {"cpus", {{{"cpus", "4"}}, "-c 4", {"--cpus", "4"}}},
        {"mem", {{{"mem", "2G"}}, "--mem=2G", {"--mem", "2G"}}},
        {"labels", {{{"labels", "nvlink,bigmem"}}, "", {"--labels", "nvlink,bigmem"}}},
        {"priority", {{{"priority", "-7"}}, "--nice=7", {"--priority=-7"}}},
        {"group", {{{"group", "g%2"}}, "", {"--group", "g%2"}}},
        {"array", {{{"array", "0-9:3%2"}}, "-a 0-9:3%2", {"--array", "0-9:3%2"}}},
        {"hold", {{{"hold", "yes"}}, "-H", {"--hold"}}},
        {"canary", {{{"group", "g"}, {"canary", "yes"}}, "", {"--group", "g", "--canary"}}},
        {"begin", {{{"begin", "now+2hours"}}, "-b now+2hours", {"--begin", "now+2hours"}}},
        {"after", {{{"dependency", "after:12"}}, "-d after:12", {"-d", "after:12"}}},
        {"afterok",
         {{{"dependency", "afterok:12:x"}}, "--dependency=afterok:12:x", {"-d", "afterok:12:x"}}},
        {"afternotok",
         {{{"dependency", "afternotok:x"}}, "-d afternotok:x", {"-d", "afternotok:x"}}},
        {"afterany", {{{"dependency", "afterany:7"}}, "-d afterany:7", {"-d", "afterany:7"}}},
        {"aftercorr", {{{"dependency", "aftercorr:7"}}, "-d aftercorr:7", {"-d", "aftercorr:7"}}},
        {"a task", {{{"dependency", "afterok:7_3"}}, "-d afterok:7_3", {"-d", "afterok:7_3"}}},
        {"all",
         {{{"dependency", "afterok:1,afterany:2"}},
          "-d afterok:1,afterany:2",
          {"-d", "afterok:1,afterany:2"}}},
        {"any",
         {{{"dependency", "afterok:1?afterany:2"}},
          "-d afterok:1?afterany:2",
          {"-d", "afterok:1?afterany:2"}}},
        {"singleton", {{{"dependency", "singleton"}}, "-d singleton", {"-d", "singleton"}}},
        {"retries", {{{"retries", "3"}}, "", {"--retries", "3"}}},
        {"retry-on",
         {{{"retries", "2"}, {"retry-on", "1,75-78"}},
          "",
          {"--retries", "2", "--retry-on", "1,75-78"}}},
        {"retry-delay", {{{"retry-delay", "90s"}}, "", {"--retry-delay", "90s"}}},
        {"requeue", {{{"requeue", "yes"}}, "--requeue", {"--requeue"}}},
        {"requeue-exit", {{{"requeue-exit", "85"}}, "", {"--requeue-exit", "85"}}},
        {"max-restarts", {{{"max-restarts", "7"}}, "", {"--max-restarts", "7"}}},
        {"signal", {{{"signal", "USR1@60"}}, "--signal=B:USR1@60", {"--signal", "USR1@60"}}},
        {"name", {{{"name", "my run"}}, "-J 'my run'", {}}},
        {"job-name", {{{"job-name", "x"}}, "--job-name=x", {}}},
        {"chdir", {{{"chdir", "/tmp"}}, "-D /tmp", {"--chdir", "/tmp"}}},
        {"cwd", {{{"cwd", "/tmp"}}, "--chdir=/tmp", {"--chdir=/tmp"}}},
        {"shell", {{{"shell", "zsh -e"}}, "", {}}},
        {"env", {{{"env", "A=b"}}, "--export=ALL,A=b", {"--env", "A=b"}}},
        {"output", {{{"output", "o-%j.txt"}}, "-o o-%j.txt", {"--output", "o-%j.txt"}}},
        {"error", {{{"error", "e.txt"}}, "-e e.txt", {}}},
        {"open-mode", {{{"open-mode", "append"}}, "--open-mode=append", {}}},
        {"profile", {{{"profile", "auto"}}, "", {}}},
        {"target", {{{"target", "auto"}}, "", {}}},
        {"time", {{{"time", "1-12"}}, "-t 1-12", {"--time", "1-12"}}},
        {"time-limit", {{{"time-limit", "2:00:00"}}, "--time=2:00:00", {"--time=2:00:00"}}},
        {"grace", {{{"grace", "1m"}}, "", {}}},
        {"leftover-grace", {{{"leftover-grace", "1m"}}, "", {}}},
        {"leftovers", {{{"leftovers", "wait"}}, "", {}}},
        {"conda-env", {{{"conda-env", "deep"}}, "", {}}},
        {"venv", {{{"venv", "~/v"}}, "", {}}},
        {"modules", {{{"modules", "cuda,gcc"}}, "", {}}},
    };
    return all;
}

/// What is asked for, whatever is executed and whoever wrote it.
spool::JobSpec wishes_of(const QByteArray& text) {
    auto spec = spool::read_new_job_file(text.toStdString(), "x.job");
    if (!spec) qFatal("%s\n%s", spec.error().text().c_str(), text.constData());
    spec->kind = spool::JobSpec::Kind::script;
    spec->command.clear();
    spec->interpreter.clear();
    spec->notes.clear();
    spec->submit.reset();
    return *spec;
}

}  // namespace

class SystemSettingForms : public QObject {
    Q_OBJECT

private slots:
    void every_key_has_a_row();
    void forms_read_alike_data();
    void forms_read_alike();
    void an_option_may_complete_what_a_file_says();
};

void SystemSettingForms::every_key_has_a_row() {
    std::set<std::string> keys;
    for (const Row& row : rows())
        for (const auto& [key, value] : row.wish.settings)
            keys.insert(key.toStdString());
    for (const std::string& name : spool::setting_names())
        QVERIFY2(keys.contains(name), name.c_str());
}

void SystemSettingForms::forms_read_alike_data() {
    QTest::addColumn<Wish>("wish");
    for (const Row& row : rows())
        QTest::newRow(row.title) << row.wish;
}

void SystemSettingForms::forms_read_alike() {
    QFETCH(Wish, wish);
    const spool::JobSpec expected = wishes_of(spool_script(wish, "true\n"));
    QVERIFY(expected != wishes_of("true\n"));  // it says something
    QVERIFY(wishes_of(json_job(wish, QJsonArray{"true"})) == expected);
    if (!wish.sbatch.isEmpty()) QVERIFY(wishes_of(sbatch_script(wish, "true\n")) == expected);
    if (wish.options.isEmpty()) return;
    const Cli cli;
    const Ran command = cli.run(QStringList{"submit", "--no-env", "-n", "x"} + wish.options +
                                QStringList{"--", "true"});
    QVERIFY2(command.code == 0, command.err);
    QVERIFY(wishes_of(cli.read("incoming/x.job")) == expected);
    // Of a file that is submitted the options win.
    cli.write(cli.beside("y.sh"), "#!/bin/sh\ntrue\n");
    const Ran file =
        cli.run(QStringList{"submit", "--no-env"} + wish.options + QStringList{cli.beside("y.sh")});
    QVERIFY2(file.code == 0, file.err);
    QVERIFY(wishes_of(cli.read("incoming/y.sh")) == expected);
}

void SystemSettingForms::an_option_may_complete_what_a_file_says() {
    const Cli cli;
    cli.write(cli.beside("y.sh"), "#!/bin/sh\n#SPOOL --retries=3\ntrue\n");
    const Ran file = cli.run({"submit", "--retry-on", "7", cli.beside("y.sh")});
    QVERIFY2(file.code == 0, file.err);
    const auto rules = wishes_of(cli.read("incoming/y.sh")).rules;
    QCOMPARE(rules.retries, 3);
    QCOMPARE(rules.retry_on.size(), std::size_t(1));
    const Ran alone = cli.run({"submit", "--retry-on", "7", "--", "true"});
    QVERIFY2(alone.code != 0 && alone.err.contains("add --retries=N"), alone.err);
}

QTEST_GUILESS_MAIN(SystemSettingForms)
#include "system_setting_forms.moc"
