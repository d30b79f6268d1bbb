// What is left when a file operation fails in the middle of a claim, its undoing or a publication.
#include <unistd.h>

#include <QtTest>

#include "libspool/finish.h"
#include "libspool/outcome.h"
#include "tests/claim_scratch.h"

using spool::ActiveJob;
using Scratch = ClaimScratch;

class UnitFailingSteps : public QObject {
    Q_OBJECT

private slots:
    void each_failing_call_of_a_step_data() {
        QTest::addColumn<QString>("step");
        QTest::addColumn<int>("code");
        for (const char* step : {"claim", "unclaim", "publish", "publish restored", "reject"})
            for (const int code : {ENOSPC, EIO, EMFILE})
                QTest::addRow("%s, %s", step, strerrorname_np(code)) << step << code;
    }
    /// After the failure the file is in incoming/, or in done/, or there is a record that says
    /// claimed; and the step, done again, ends as if nothing had happened.
    void each_failing_call_of_a_step() {
        QFETCH(QString, step);
        QFETCH(int, code);
        int call = 1;
        for (;; ++call) {
            Scratch s;
            std::optional<ActiveJob> job;
            prepare_step(s, step, job);
            const auto perform = [&] { return do_step(s, step, job); };
            s.files.arm(call, code);
            const bool ok = perform();
            const bool reached = s.files.failed();
            s.files.disarm();
            if (!reached) {
                QVERIFY(ok);
                break;
            }
            const QByteArray where = "call " + QByteArray::number(call) + " (" +
                                     QByteArray::fromStdString(s.files.failed_call()) + ")";
            if (!ok) {
                QVERIFY2(kept(s, job), "lost after " + where);
                if (step == "claim")
                    QVERIFY2(s.count(s.spool.running) == 0, "stray file, " + where);
                QVERIFY2(perform(), "not repeatable after " + where);
            }
            // A body that cannot be read must not keep the result from being published.
            if (step == "publish restored" && s.files.failed_call().starts_with("read")) continue;
            if (const QString left = leftover(s, step); !left.isEmpty())
                QFAIL(where + ": " + left.toUtf8());
        }
        QVERIFY(call > 3);
    }

    void a_rename_that_stops_halfway_is_completed_data() {
        QTest::addColumn<QString>("step");
        for (const char* step : {"claim", "unclaim", "publish", "publish restored", "reject"})
            QTest::newRow(step) << step;
    }
    /// Where renames are link and unlink, and the second of these fails.
    void a_rename_that_stops_halfway_is_completed() {
        QFETCH(QString, step);
        int number = 1;
        for (;; ++number) {
            Scratch s;
            std::optional<ActiveJob> job;
            prepare_step(s, step, job);
            s.files.halve_rename(number);
            const bool ok = do_step(s, step, job);
            if (!s.files.halved()) {
                QVERIFY(ok);
                break;
            }
            const QByteArray where = "rename " + QByteArray::number(number);
            QVERIFY2(ok || do_step(s, step, job), "not repeatable after " + where);
            if (const QString left = leftover(s, step); !left.isEmpty())
                QFAIL(where + ": " + left.toUtf8());
        }
        QVERIFY(number > 1);
    }

private:
    static void prepare_step(Scratch& s, const QString& step, std::optional<ActiveJob>& job) {
        if (step == "claim" || step == "reject")
            s.put(s.spool.incoming, "x.job", script);
        else
            job = s.claimed("x.job");
        if (step == "publish restored") ::unlink(s.path("running/x.job").c_str());
    }

    static bool do_step(Scratch& s, const QString& step, std::optional<ActiveJob>& job) {
        if (step == "claim") {
            auto claim = s.claim(s.request("x.job"));
            if (!claim || !std::holds_alternative<ActiveJob>(*claim)) return false;
            job = std::move(std::get<ActiveJob>(*claim));
            return true;
        }
        if (step == "unclaim") return spool::unclaim(s.spool, *job).has_value();
        if (step == "reject") {
            auto result = spool::withdrawn_result(7, "x.job", 1);
            return spool::publish_unstarted(s.spool, result, {}, no_name_taken).has_value();
        }
        auto result = s.result_of(*job);
        return spool::publish(s.spool, *job, result).has_value();
    }

    static bool kept(Scratch& s, const std::optional<ActiveJob>& job) {
        if (s.get(s.spool.incoming, "x.job") == script) return true;
        if (s.get(s.spool.done, "x.job") == script) return true;
        if (!job) return false;
        const auto content = spool::read_record(s.files, job->record);
        // In running/ without a record that claims it: recovery puts it back into the queue.
        if (content && !content->claimed() && s.get(s.spool.running, "x.job") == script)
            return true;
        return content && content->claimed() &&
               spool::read_body(s.files, job->record, content->claim)
                   .map([](const auto& body) { return body.job_file == script; })
                   .value_or(false);
    }

    /// What is not as it must be at the end of a step.
    static QString leftover(Scratch& s, const QString& step) {
        const auto listing = [&](const char* what, const spool::OpenFile& where,
                                 const QStringList& expected) {
            QStringList found = s.names(where);
            // A name that could not be examined is passed over: all files have the next one then.
            if (found.filter("x~2.") == found) found.replaceInStrings("x~2.", "x.");
            return found == expected ? QString() : QString(what) + " has " + found.join(' ');
        };
        QString wrong = listing("tmp", s.spool.temporary, {});
        if (step == "claim") {
            wrong += listing("incoming", s.spool.incoming, {});
            wrong += listing("running", s.spool.running, {"x.job", "x.log"});
        } else if (step == "unclaim") {
            wrong += listing("incoming", s.spool.incoming, {"x.job"});
        } else if (step == "reject") {
            wrong += listing("incoming", s.spool.incoming, {});
            wrong += listing("done", s.spool.done, {"x.job", "x.json"});
        } else {
            wrong += listing("running", s.spool.running, {});
            wrong += listing("done", s.spool.done, {"x.job", "x.json", "x.log"});
        }
        return wrong;
    }
};

QTEST_GUILESS_MAIN(UnitFailingSteps)
#include "unit_failing_steps.moc"
