// Reading job files: shell scripts and their directives, what is rejected and where.
#include <QtTest>

#include "libspool/sbatch_options.h"
#include "tests/rejections.h"

using spool::JobSpec;
using std::chrono::milliseconds;
using std::string_literals::operator""s;

class UnitJobFile : public QObject {
    Q_OBJECT

    static JobSpec read(const std::string& text) { return test::read_accepted(text); }
    static spool::SubmitInfo submit_info() {
        return {"0123456789abcdef0123456789abcdef",
                42,
                "/home/a\n\"\\\xff",
                "hash",
                {"WANDB_API_KEY"},
                "2026-11-21T09:30:00.000+01:00",
                {"--epochs", "3 4"},
                7};
    }

private slots:
    void commands_are_found_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<bool>("expected");
        const auto row = [](const QByteArray& text, bool expected) {
            QTest::addRow("%s", text.toPercentEncoding().constData()) << text << expected;
        };
        row("", false);
        row(" \n\t\n", false);
        row("#!/bin/sh\n", false);
        row("#!/bin/sh", false);
        row("# a\n  # b\n#SPOOL --gpus=1\n\n", false);
        row("#SPOOL-SUBMIT {}\n", false);
        row("true", true);
        row("# a\n\ntrue\n", true);
        row("  {", true);
        row("{}", true);
        row("\xEF\xBB\xBF", true);
        row(QByteArray("\0", 1), true);
        row("\xFF\xFE#\0", true);
    }
    void commands_are_found() {
        QFETCH(QByteArray, text);
        QTEST(spool::has_command(text.toStdString()), "expected");
    }

    void all_spool_keys() {
        const JobSpec spec = read(
            "#!/usr/bin/env  bash -x \n"
            "# a remark\n"
            "#SPOOL --gpus=2 --priority=10 --cpus 4 --mem=10G # and more\n"
            "\n"
            "  #SPOOL --name='my job' --chdir=~/proj --shell='zsh -e'\n"
            "#SPOOL --env=A=1 --env B=x=y --output=out/%x-%j.log --error \"err log\"\n"
            "#SPOOL --open-mode=append --profile=big --time=1-12 --grace=30s "
            "--leftover-grace=500ms\n"
            "#SPOOL --leftovers=wait --conda-env=deep --venv=.venv --modules=cuda/12,gcc\n"
            "#SPOOL\n"
            "python train.py\n");
        JobSpec expected;
        expected.interpreter = "/usr/bin/env  bash -x";
        expected.gpus = 2;
        expected.priority = 10;
        expected.cpus = 4;
        expected.memory = 10ull << 30;
        expected.name = "my job";
        expected.directory = "~/proj";
        expected.shell = "zsh -e";
        expected.environment = {{"A", "1"}, {"B", "x=y"}};
        expected.output = "out/%x-%j.log";
        expected.error = "err log";
        expected.truncate_output = false;
        expected.profile = "big";
        expected.time_limit = std::chrono::hours(36);
        expected.grace = milliseconds(30'000);
        expected.leftover_grace = milliseconds(500);
        expected.wait_for_leftovers = true;
        expected.conda_environment = "deep";
        expected.virtual_environment = ".venv";
        expected.modules = {"cuda/12", "gcc"};
        QVERIFY(spec == expected);
        QVERIFY(read("#SPOOL --job-name=a --target=b --priority -5\ntrue").priority == -5);
        QCOMPARE(read("#SPOOL --job-name=a\ntrue").name, "a"s);
        QCOMPARE(read("#SPOOL --target=b\ntrue").profile, "b"s);
    }

    void a_plain_script_asks_for_nothing() {
        QVERIFY(read("python train.py\n") == JobSpec());
        QVERIFY(read("#SPOOLER --x\n#spool --x\n##SPOOL --x\n# SPOOL --x\n##SBATCH "
                     "-x\n#SBATCHX\ntrue") == JobSpec());
    }

    void all_sbatch_settings() {
        const JobSpec spec = read(
            "#!/bin/bash\n"
            "#SBATCH --job-name=train --gres=gpu:2\n"
            "#SBATCH -c 8 -t 2:00:00 --mem 500M\n"
            "#SBATCH -o logs/%j.out -elogs/%j.err --open-mode=append\n"
            "#SBATCH --chdir \"/data/my proj\" --nice=5 --export=ALL,A=1\n"
            "srun python train.py\n");
        JobSpec expected;
        expected.interpreter = "/bin/bash";
        expected.name = "train";
        expected.gpus = 2;
        expected.cpus = 8;
        expected.time_limit = std::chrono::hours(2);
        expected.memory = 500ull << 20;
        expected.output = "logs/%j.out";
        expected.error = "logs/%j.err";
        expected.truncate_output = false;
        expected.directory = "/data/my proj";
        expected.priority = -5;
        expected.environment = {{"A", "1"}};
        QVERIFY(spec == expected);
    }

    void gpus_of_sbatch_data() {
        QTest::addColumn<QByteArray>("options");
        QTest::addColumn<int>("expected");  // -1: not said
        QTest::addColumn<int>("notes");
        const auto row = [](const char* options, int expected, int notes) {
            QTest::newRow(options) << QByteArray(options) << expected << notes;
        };
        row("--gres=gpu", 1, 0);
        row("--gres gpu:3", 3, 0);
        row("--gres=gpu:a100:2", 2, 1);
        row("--gres=gpu:a100", 1, 1);
        row("--gres=gpu:a100:1,gpu:v100:2", 3, 1);
        row("--gres=none", 0, 0);
        row("--gres=shard:2", -1, 1);
        row("--gres=gpu:1,shard:2", 1, 1);
        row("-G 2", 2, 0);
        row("-G2", 2, 0);
        row("--gpus=a100:2", 2, 1);
        row("--gpus-per-node=4", 4, 0);
        row("--gpus-per-task=1", 1, 0);
        row("--gpus=1 --gres=gpu:2", 2, 0);
        row("-p gpu", -1, 1);
    }
    void gpus_of_sbatch() {
        QFETCH(QByteArray, options);
        QFETCH(int, notes);
        const JobSpec spec = read("#SBATCH " + options.toStdString() + "\ntrue\n");
        QTEST(spec.gpus.value_or(-1), "expected");
        QCOMPARE(int(spec.notes.size()), notes);
    }

    void spool_wins_wherever_it_stands() {
        const JobSpec spec = read(
            "#SPOOL --gpus=1 --priority=3 --time=1h --name=mine\n"
            "#SBATCH --gres=gpu:4 --nice --time=2:00:00 -J theirs\n"
            "#SPOOL --gpus=2\ntrue\n");
        QCOMPARE(spec.gpus, std::optional(2));
        QCOMPARE(spec.priority, 3);
        QCOMPARE(spec.time_limit->count(), 3'600'000);
        QCOMPARE(spec.name, "mine"s);
        QCOMPARE(read("#SBATCH --nice\ntrue").priority, -100);
        QVERIFY(read("#SBATCH -H\ntrue").held);
        QCOMPARE(read("#SBATCH --begin=now+1hour\ntrue").begin, std::string("now+1hour"));
        const auto after = read("#SBATCH -d afterok:1?afterany:x\ntrue").after;
        QVERIFY(after.any);
        QCOMPARE(after.list.size(), std::size_t(2));
        QCOMPARE(read("#SBATCH --signal=B:USR1@90\ntrue").warn_before,
                 std::chrono::milliseconds(90'000));
        QVERIFY(!read("#SBATCH --mem=0\ntrue").memory);
    }

    void notes_have_their_line() {
        const JobSpec spec = read(
            "#!/bin/bash\n"
            "#SBATCH --partition=gpu -A lab --mail-user a@b\n"
            "#SBATCH --frobnicate value --mail-type=END\n"
            "#SBATCH -N1 -n 4 --reboot --exclusive stray\n"
            "true\n"
            "#SBATCH --gres=gpu:2\n");
        const std::vector<std::string> starts{
            "line 2: --partition=gpu ",
            "line 2: --account=lab ",
            "line 2: --mail-user=a@b ",
            "line 3: unknown option '--frobnicate'",
            "line 3: --mail-type=END ",
            "line 4: --nodes=1 ",
            "line 4: --ntasks=4: ",
            "line 4: --reboot ",
            "line 4: --exclusive ",
            "line 4: 'stray' ",
            "line 6: an #SBATCH line after the first command is ignored"};
        QCOMPARE(spec.notes.size(), starts.size());
        for (std::size_t i = 0; i < starts.size(); ++i)
            QVERIFY2(spec.notes[i].starts_with(starts[i]), spec.notes[i].c_str());
        QVERIFY(!spec.gpus);
    }

    void options_as_getopt_reads_them() {
        QCOMPARE(read("#SBATCH --cpus-per-t=3\ntrue").cpus, std::optional(3));
        QCOMPARE(read("#SBATCH -sc3\ntrue").cpus, std::optional(3));
        QCOMPARE(read("#SBATCH -c=3\ntrue").cpus, std::optional(3));
        QVERIFY(!read("#SBATCH --cpus=3\ntrue").cpus);  // fits several: not understood
        QCOMPARE(read("#SBATCH --cpus=3\ntrue").notes.size(), std::size_t{1});
        QVERIFY(spool::find_sbatch_option("gpus")->name == "gpus");  // also the start of others
        QVERIFY(spool::find_sbatch_option("") == nullptr);
        QVERIFY(spool::find_sbatch_option('\0') == nullptr);
    }

    void rejections_name_line_and_remedy_data() {
        const auto row = test::add_rejection;
        test::add_rejection_columns();
        row("#!/bin/sh\n#SPOOL --gpu=1\ntrue", 2, "unknown key 'gpu' (did you mean '--gpus'?)");
        row("\n\n#SPOOL --banana=1\ntrue", 3, "unknown key 'banana'");
        row("#SPOOL --gpus=two\ntrue", 1, "expected a number from 0 to 1024");
        row("#SPOOL --gpus=1025\ntrue", 1, "'1025' is no value for --gpus");
        row("#SPOOL --gpus=-1\ntrue", 1, "--gpus");
        row("#SPOOL --gpus=\ntrue", 1, "--gpus");
        row("#SPOOL --gpus\ntrue", 1, "--gpus needs a value");
        row("#SPOOL --gpus --priority=1\ntrue", 1, "--gpus needs a value");
        row("#SPOOL gpus=1\ntrue", 1, "did you mean '--gpus'?");
        row("#SPOOL -J x\ntrue", 1, "expected --key=value, found '-J'");
        row("#SPOOL --priority=1000000001\ntrue", 1, "1000000000");
        row("#SPOOL --mem=lots\ntrue", 1, "10G");
        row("#SPOOL --cpus=0\ntrue", 1, "from 1");
        row("#SPOOL --time=soon\ntrue", 1, "time limit such as");
        row("#SPOOL --grace=-1\ntrue", 1, "10s");
        row("#SPOOL --env=A\ntrue", 1, "NAME=value");
        row("#SPOOL --env==1\ntrue", 1, "NAME=value");
        row("#SPOOL --open-mode=w\ntrue", 1, "'append' or 'truncate'");
        row("#SPOOL --leftovers=keep\ntrue", 1, "'wait' or 'end'");
        row("#SPOOL --modules=,\ntrue", 1, "modules");
        row("#SPOOL --name='a\ntrue", 1, "a quote is not closed");
        row("#SPOOL--gpus=2\ntrue", 1, "write a blank after #SPOOL");
        row("#SPOOL-gpus=2\ntrue", 1, "write a blank after #SPOOL");
        row("true\n\n#SPOOL --gpus=2\n", 3, "move it above the first command");
        row("true\n#SPOOL --gpus=2", 2, "move it above the first command");
        row("#SBATCH --gres=gpu:x:y\ntrue", 1, "gpu:KIND:NUMBER");
        row("#SBATCH --gres=gpu:9999\ntrue", 1, "gpu:NUMBER");
        row("#SBATCH --gpus=a100\ntrue", 1, "KIND:NUMBER");
        row("#SBATCH --time=never\ntrue", 1, "no value for --time");
        row("#SBATCH -t\ntrue", 1, "--time needs a value");
        row("#SBATCH -J 'a\ntrue", 1, "a quote is not closed");
        row("#!/bin/sh\n#\n#SBATCH --array=10-1\ntrue", 3,
            "'10-1' is no value for --array: expected task numbers such as 0-99");
        row("#SBATCH -a 0-100000\ntrue", 1, "at most 100000 of them");
        row("#SPOOL --array=1-3%0\ntrue", 1, "no value for --array");
        row("#SBATCH --nodes=2\ntrue", 1, "--nodes=2 is not supported");
        row("#SBATCH -N 2-4\ntrue", 1, "--nodes");
        row("#SBATCH --nice=x\ntrue", 1, "--nice");
        row("a\r\nb\r\n", 1, "DOS line end; convert the file with: sed -i 's/\\r$//' x.job");
        row("a\nb\r\n", 2, "DOS line end");
        row("a\nb\r", 2, "DOS line end");
        row("{\"command\":\r\n\"x\"}", 1, "DOS line end");
        row(QByteArray("a\n\0b", 4), 2, "NUL byte");
        row("\xEF\xBB\xBF#!/bin/sh\ntrue", 1, "byte order mark");
        row("\xFF\xFEt", 1, "byte order mark");
        row("\xFE\xFFt", 1, "byte order mark");
        row("true\n#SPOOL-SUBMIT {", 2, "#SPOOL-SUBMIT line cannot be understood");
        row("true\n#SPOOL-SUBMIT", 2, "#SPOOL-SUBMIT line cannot be understood");
        row("true\n#SPOOL-SUBMIT {\"number\":-1}", 2, "'number' is not a whole number");
        row("true\n#SPOOL-SUBMIT [1]\n", 2, "#SPOOL-SUBMIT line cannot be understood");
        row("{ echo a; }", 1, "begin a shell script with a #! line");
    }
    void rejections_name_line_and_remedy() { test::check_rejection(); }

    void too_large_is_rejected() {
        QVERIFY(!spool::read_job_file(std::string(spool::max_job_file_size + 1, 'a'), "x.job"));
        QVERIFY(spool::read_job_file(std::string(spool::max_job_file_size, 'a'), "x.job"));
    }

    void messages_show_no_control_bytes() {
        const auto spec = spool::read_job_file("#SPOOL --\x1b[31m=1\ntrue", "x.job");
        QVERIFY(!spec && spec.error().message.find('\x1b') == std::string::npos);
        const auto job = read("#SBATCH --partition='\x1b[31m'\ntrue");
        QVERIFY(job.notes.at(0).find('\x1b') == std::string::npos);
    }

    void submit_line_comes_and_goes_data() {
        QTest::addColumn<QByteArray>("text");
        for (const char* text :
             {"true\n", "#!/bin/sh\n#SPOOL --gpus=1\ntrue\n", "a\n\n\n", "# only\n", ""})
            QTest::addRow("%s", QByteArray(text).toPercentEncoding().constData())
                << QByteArray(text);
    }
    void submit_line_comes_and_goes() {
        QFETCH(QByteArray, text);
        const std::string script = text.toStdString();
        const auto with = spool::with_submit_info(script, submit_info());
        QVERIFY(with);
        QCOMPARE(std::count(with->begin(), with->end(), '\n'),
                 std::count(script.begin(), script.end(), '\n') + 1);
        QCOMPARE(spool::executed_script(*with), script);
        QCOMPARE(spool::has_command(*with), spool::has_command(script));
        const auto spec = spool::read_job_file(*with, "x.job");
        QVERIFY(spec && spec->submit == submit_info());
        auto other = submit_info();
        other.number = 43;
        other.retry_of.reset();
        const auto replaced = spool::with_submit_info(*with, other);
        QVERIFY(replaced);
        QCOMPARE(spool::executed_script(*replaced), script);
        QVERIFY(read(*replaced).submit == other);
    }

    void submit_line_counts_only_at_the_end() {
        QCOMPARE(spool::executed_script("true\n#SPOOL-SUBMIT {}"), "true\n"s);
        QCOMPARE(spool::executed_script("#SPOOL-SUBMIT {}\ntrue"), "#SPOOL-SUBMIT {}\ntrue"s);
        QCOMPARE(spool::executed_script("true #SPOOL-SUBMIT {}"), "true #SPOOL-SUBMIT {}"s);
        QCOMPARE(spool::executed_script("true\n#SPOOL-SUBMITTED x"), "true\n#SPOOL-SUBMITTED x"s);
        const JobSpec spec = read("true\n#SPOOL-SUBMIT {\"number\":1}\ntrue\n");
        QVERIFY(!spec.submit);
        QVERIFY(spec.notes.at(0).starts_with("line 2: #SPOOL-SUBMIT"));
        QCOMPARE(
            spool::with_submit_info("true", submit_info()).value().find("true\n#SPOOL-SUBMIT {"),
            std::size_t{0});
    }

    void shows_the_command() {
        const auto shown = [](const std::string& text) {
            return spool::command_line(JobSpec(), text);
        };
        QCOMPARE(shown("#!/bin/sh\n# x\n\n  python a.py  \n# end\n\n"), "python a.py"s);
        QCOMPARE(shown("cd x\npython a.py"), "cd x …"s);
        QCOMPARE(shown("true\n#SPOOL-SUBMIT {}\n"), "true"s);
        QCOMPARE(shown("# none"), ""s);
        QCOMPARE(shown("\x1b[31m\xff"), "\x1b[31m\xff"s);
        JobSpec command;
        command.kind = JobSpec::Kind::command;
        command.command = {"python", "my file.py", "it's"};
        QCOMPARE(spool::command_line(command, "{}"), "python 'my file.py' 'it'\\''s'"s);
    }

    /// Neither a prefix nor a changed byte of a job file may do more than be rejected.
    void damaged_files_are_survived() {
        const std::string whole = spool::with_submit_info(
                                      "#!/bin/bash -e\n#SBATCH -J x --gres=gpu:a:2 --time=1-2:3 "
                                      "-N1 --nice --export=ALL,A=b\n"
                                      "#SPOOL --gpus=2 --env='A=b c' --mem \"4G\" --modules=a,b "
                                      "--grace=3s\n\ntrue\n# x\n",
                                      submit_info())
                                      .value();
        QVERIFY(spool::read_job_file(whole, "x.job"));
        for (std::size_t length = 0; length < whole.size(); ++length)
            exercise(whole.substr(0, length));
        for (std::size_t at = 0; at < whole.size(); ++at)
            for (const int byte :
                 {0, 1, 9, 10, 13, 27, 32, 34, 35, 39, 45, 61, 92, 123, 127, 128, 195, 255}) {
                std::string damaged = whole;
                damaged[at] = static_cast<char>(byte);
                exercise(damaged);
            }
    }

private:
    static void exercise(const std::string& bytes) {
        const auto spec = spool::read_job_file(bytes, "x.job");
        const auto lines = std::count(bytes.begin(), bytes.end(), '\n') + 1;
        if (!spec) QVERIFY(!spec.error().message.empty() && spec.error().line.value_or(1) <= lines);
        if (spec) QVERIFY(spec->gpus.value_or(0) >= 0 && spec->gpus.value_or(0) <= 1024);
        (void)spool::has_command(bytes);
        (void)spool::command_line(spec.value_or(JobSpec()), bytes);
        const std::string script = spool::executed_script(bytes);
        QVERIFY(script.size() <= bytes.size() && bytes.starts_with(script));
        (void)spool::with_submit_info(bytes, submit_info());
    }
};

QTEST_GUILESS_MAIN(UnitJobFile)
#include "unit_job_file.moc"
