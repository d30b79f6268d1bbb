// What somebody else does to a file between the look at it and the step that depends on it.
#include <unistd.h>

#include <QtTest>

#include "libspool/claim.h"
#include "libspool/finish.h"
#include "libspool/journal.h"
#include "libspool/outcome.h"
#include "libspool/recover.h"
#include "libspool/submit.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

namespace {

const spool::record::BootId boot{1};
const std::string bad = "#SPOOL --gpsu=1\n", good = "echo good\n";

/// Calls back right before a sync or a rename is made.
class MeddledFiles : public FailingFiles {
public:
    std::function<void()> before_sync;
    std::function<void(const std::string& name)> before_rename;

    spool::Result<void> sync(spool::Handle file, bool metadata) override {
        if (before_sync) std::exchange(before_sync, nullptr)();
        return FailingFiles::sync(file, metadata);
    }
    spool::Result<void> rename(spool::Handle from, std::string_view name, spool::Handle to,
                               std::string_view new_name) override {
        if (before_rename) before_rename(std::string(name));
        return FailingFiles::rename(from, name, to, new_name);
    }
};

struct Scratch : ScratchSpoolOn<MeddledFiles> {
    spool::RecordPool pool{spool};

    /// As an editor saves: a new file is moved over the old one.
    void save_anew(const std::string& name, const std::string& bytes) {
        put(spool.incoming, ".new", bytes);
        const std::string incoming = spool.path + "/incoming/";
        if (::rename((incoming + ".new").c_str(), (incoming + name).c_str()) != 0) qFatal("rename");
    }
    void remove(const std::string& below) { ::unlink((spool.path + "/" + below).c_str()); }
    void remove_before_it_moves(const std::string& where, const std::string& name) {
        files.before_rename = [this, where, name](const std::string& moving) {
            if (moving == name) remove(where + "/" + name);
        };
    }
    [[nodiscard]] spool::FileStat stat(const std::string& name) {
        return *files.stat_at(spool.incoming.get(), name);
    }
    spool::Result<spool::Published> reject(const spool::FileStat& judged) {
        auto result = spool::rejected_result(7, "x.job", {}, 1);
        return spool::publish_unstarted(spool, result, {true, judged},
                                        [](const std::string&) { return false; });
    }
    spool::Result<spool::Recovery> recover() {
        return spool::recover(spool, pool, clock, boot, [](const auto&) { return false; });
    }
};

}  // namespace

class UnitMeddling : public QObject {
    Q_OBJECT

private slots:
    void another_file_is_not_moved_as_rejected_data() {
        QTest::addColumn<bool>("during_the_sync");
        QTest::newRow("before the result is written") << false;
        QTest::newRow("while the result is synced") << true;
    }
    void another_file_is_not_moved_as_rejected() {
        QFETCH(bool, during_the_sync);
        Scratch s;
        s.put(s.spool.incoming, "x.job", bad);
        const auto judged = s.stat("x.job");
        const auto save = [&] { s.save_anew("x.job", good); };
        during_the_sync ? void(s.files.before_sync = save) : save();
        const auto published = s.reject(judged);
        QVERIFY(!published && published.error().code == ESTALE);
        QCOMPARE(s.get(s.spool.incoming, "x.job"), good);
        QCOMPARE(s.names(s.spool.done), QStringList());
        QVERIFY(s.reject(s.stat("x.job")).has_value());  // that one, as if it were bad too
        QCOMPARE(s.names(s.spool.done), (QStringList{"x.job", "x.json"}));
    }

    void a_rejected_file_that_was_removed_has_a_result() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", bad);
        const auto judged = s.stat("x.job");
        s.files.before_sync = [&] { s.remove("incoming/x.job"); };
        QVERIFY(s.reject(judged).has_value());
        QCOMPARE(s.names(s.spool.done), QStringList{"x.json"});
    }

    /// In running/, with no record, and gone before recovery could move it back.
    void a_file_removed_during_recovery_does_not_stop_it() {
        Scratch s;
        s.put(s.spool.running, "x.job", good);
        s.put(s.spool.running, "y.job", good);
        s.remove_before_it_moves("running", "x.job");
        const auto recovery = s.recover();
        QVERIFY2(recovery.has_value(), recovery ? "" : recovery.error().text().c_str());
        QCOMPARE(recovery->requeued, std::vector<std::string>{"y.job"});
        QCOMPARE(s.names(s.spool.incoming), QStringList{"y.job"});
    }

    /// A rejected file whose result an earlier daemon wrote, removed before it is moved beside it.
    void a_rejected_file_removed_during_recovery_does_not_stop_it() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", bad);
        const auto judged = s.stat("x.job");
        s.put(s.spool.internal, "waiting",
              spool::write_line(
                  spool::WaitingEntry{7, judged.device, judged.inode, "x.job", judged.modified}));
        QVERIFY(s.reject(judged).has_value());
        const std::string below = s.spool.path + "/";
        QCOMPARE(::rename((below + "done/x.job").c_str(), (below + "incoming/x.job").c_str()), 0);
        auto result = spool::read_result(s.get(s.spool.done, "x.json"), "x.json");
        result->ended_at = s.stat("x.job").changed + 1'000'000'000;
        s.remove("done/x.json");
        s.put(s.spool.done, "x.json", spool::write_result(*result));
        s.remove_before_it_moves("incoming", "x.job");
        const auto ends = spool::recover_unstarted(s.spool, [](std::uint64_t) { return false; });
        QVERIFY2(ends.has_value(), ends ? "" : ends.error().text().c_str());
        QCOMPARE(ends->size(), std::size_t(1));
        QCOMPARE(s.names(s.spool.incoming), QStringList());
    }

    /// The file of a job that was withdrawn came back, and is another job by now.
    void a_file_that_was_numbered_again_is_left_in_incoming() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", good);
        const auto file = s.stat("x.job");
        const auto line = [&](std::uint64_t number) {
            return spool::write_line(
                spool::WaitingEntry{number, file.device, file.inode, "x.job", file.modified});
        };
        s.put(s.spool.internal, "waiting", line(7) + line(10));
        auto result = spool::withdrawn_result(7, "x.job", file.changed + 1'000'000'000);
        s.put(s.spool.done, "x.json", spool::write_result(result));
        const auto ends =
            spool::recover_unstarted(s.spool, [](std::uint64_t number) { return number == 7; });
        QVERIFY(ends && ends->empty());
        QCOMPARE(s.names(s.spool.incoming), QStringList{"x.job"});
    }

    /// Where a rename is link and unlink: the job is there, so it was submitted.
    void a_submission_whose_temporary_name_stays_is_one() {
        Scratch s;
        s.files.halve_rename(1);
        const auto submitted = spool::submit(s.spool, {good, "x", ".job", {}}, s.clock);
        QVERIFY2(submitted.has_value(), submitted ? "" : submitted.error().text().c_str());
        QVERIFY(s.files.halved());
        QCOMPARE(s.names(s.spool.incoming), QStringList{"x.job"});
        QCOMPARE(s.names(s.spool.temporary), QStringList());
    }
};

QTEST_GUILESS_MAIN(UnitMeddling)
#include "unit_meddling.moc"
