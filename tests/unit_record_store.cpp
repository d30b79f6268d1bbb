// Record files: what is written is read, what is damaged or of another attempt does not count, and
// the pool that they come from.
#include <sys/stat.h>
#include <unistd.h>

#include <QtTest>

#include "libspool/record_store.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

namespace record = spool::record;
using record::Validity;
using spool::RecordBody;
using spool::RecordFile;

namespace {

RecordBody sample_body() {
    RecordBody body;
    body.job_file = std::string("#!/bin/sh\necho \0 \xff\n", 20);
    body.script_length = 10;
    body.arguments = {"python", "", "a b", "\xff"};
    body.directory = "/home/u";
    body.environment_file = "0123abcd";
    body.environment = {"A=1", "B", "C="};
    body.output = "/tmp/out";
    body.error_output = "";
    body.result = R"({"command":"x"})";
    return body;
}

struct Scratch : ScratchSpoolOn<FailingFiles> {
    spool::RecordPool pool{spool};
    RecordFile file;
    record::Claim claim{};

    Scratch() {
        auto taken = pool.take();
        if (!taken) qFatal("%s", taken.error().text().c_str());
        file = std::move(*taken);
        claim.token = {1, 2, 3};
        claim.state = record::ClaimState::claimed;
        claim.job = 42;
        claim.name_length = 1;
        claim.name[0] = 'x';
        write(sample_body());
    }
    void write(const RecordBody& body) {
        if (!spool::write_claim(files, file, claim, body)) qFatal("write");
    }
    /// Writes each of the other pages, with the token given.
    void write_pages(const record::Token& token) {
        record::Run run{};
        record::Exit exit{};
        record::Cancel cancel{};
        run.token = exit.token = cancel.token = token;
        if (!spool::write_page(files, file, record::run_page, run) ||
            !spool::write_page(files, file, record::exit_page, exit) ||
            !spool::write_page(files, file, record::cancel_page, cancel))
            qFatal("write");
    }
    void write_at(std::size_t offset, const std::string& bytes) {
        if (!files.write(file.file.get(), offset, bytes)) qFatal("write");
    }
    spool::RecordContent content() {
        auto content = spool::read_record(files, file);
        if (!content) qFatal("%s", content.error().text().c_str());
        return *content;
    }
};

}  // namespace

Q_DECLARE_METATYPE(Validity)

class UnitRecordStore : public QObject {
    Q_OBJECT

private slots:
    void what_was_written_is_read() {
        Scratch s;
        const auto content = s.content();
        QVERIFY(content.claimed());
        QCOMPARE(content.claim.job, std::uint64_t(42));
        QCOMPARE(content.name(), std::string("x"));
        QVERIFY(!content.started() && !content.ended() && !content.cancelled());
        const auto body = spool::read_body(s.files, s.file, content.claim);
        QVERIFY(body.has_value());
        const RecordBody expected = sample_body();
        QCOMPARE(body->job_file, expected.job_file);
        QCOMPARE(body->script_length, expected.script_length);
        QCOMPARE(body->arguments, expected.arguments);
        QCOMPARE(body->directory, expected.directory);
        QCOMPARE(body->environment_file, expected.environment_file);
        QCOMPARE(body->environment, expected.environment);
        QCOMPARE(body->output, expected.output);
        QCOMPARE(body->error_output, expected.error_output);
        QCOMPARE(body->result, expected.result);
        s.write_pages(s.claim.token);
        const auto all = s.content();
        QVERIFY(all.started() && all.ended() && all.cancelled());
    }

    void an_empty_body_is_a_body() {
        Scratch s;
        s.write({});
        const auto body = spool::read_body(s.files, s.file, s.content().claim);
        QVERIFY(body.has_value());
        QVERIFY(body->job_file.empty() && body->arguments.empty() && body->environment.empty());
    }

    void pages_of_another_attempt_count_as_absent() {
        Scratch s;
        s.write_pages({9, 9, 9});
        const auto content = s.content();
        QVERIFY(content.claimed());
        QVERIFY(content.run_validity == Validity::absent);
        QVERIFY(content.exit_validity == Validity::absent);
        QVERIFY(content.cancel_validity == Validity::absent);
    }

    void a_damaged_page_does_not_count_data() {
        QTest::addColumn<int>("page");
        QTest::addColumn<int>("offset");  // in the page
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<Validity>("validity");
        const QByteArray zeros(record::page_size, '\0');
        for (int page = 0; page < 4; ++page) {
            const auto row = [&](const char* what) -> QTestData& {
                return QTest::addRow("page %d, %s", page, what) << page;
            };
            // A claim page of zeros under pages of its supervisor was something once.
            const Validity blank = page == 0 ? Validity::damaged : Validity::absent;
            row("zeroed") << 0 << zeros << blank;
            row("first half zeroed") << 0 << zeros.first(40) << blank;
            row("other magic number") << 0 << QByteArray("X") << Validity::damaged;
            row("newer format") << 4 << QByteArray("\x02\0\0\0", 4) << Validity::newer;
            row("format zero") << 4 << QByteArray("\0\0\0\0", 4) << Validity::damaged;
            row("other size") << 8 << QByteArray("\x01") << Validity::damaged;
            row("other checksum") << 12 << QByteArray("\x01\x02\x03\x04") << Validity::damaged;
            row("a byte of its content") << 40 << QByteArray("\x7f") << Validity::damaged;
        }
    }
    void a_damaged_page_does_not_count() {
        QFETCH(int, page);
        QFETCH(int, offset);
        QFETCH(QByteArray, bytes);
        QFETCH(Validity, validity);
        Scratch s;
        s.write_pages(s.claim.token);
        s.write_at(
            static_cast<std::size_t>(page) * record::page_size + static_cast<std::size_t>(offset),
            bytes.toStdString());
        const auto content = s.content();
        const Validity found[] = {content.claim_validity, content.run_validity,
                                  content.exit_validity, content.cancel_validity};
        QVERIFY(found[page] == validity);
        QCOMPARE(content.claimed(), page != 0);
        // Without a claim page nothing counts; each other page stands for itself.
        // Of a run page that cannot be read only the worst is assumed: that the job was started.
        QCOMPARE(content.run_known(), page != 0 && page != 1);
        QCOMPARE(content.started(), page != 0 && (page != 1 || validity != Validity::absent));
        QCOMPARE(content.ended(), page != 0 && page != 2);
        QCOMPARE(content.cancelled(), page != 0 && page != 3);
    }

    void a_record_cut_short_is_no_record() {
        Scratch s;
        s.write_pages(s.claim.token);
        QVERIFY(s.files.truncate(s.file.file.get(), record::page_size * 2));
        auto content = s.content();
        QVERIFY(content.claimed() && content.started() && !content.ended());
        QVERIFY(!spool::read_body(s.files, s.file, content.claim));
        QVERIFY(s.files.truncate(s.file.file.get(), 100));
        content = s.content();
        QVERIFY(content.claim_validity == Validity::damaged);
        QVERIFY(s.files.truncate(s.file.file.get(), 0));
        QVERIFY(!s.content().claimed());
    }

    void a_damaged_body_is_an_error_that_names_the_record() {
        Scratch s;
        s.write_at(record::body_offset + 3, "Z");
        const auto body = spool::read_body(s.files, s.file, s.content().claim);
        QVERIFY(!body.has_value());
        QCOMPARE(body.error().path, std::string(".spool/records/0"));
        QVERIFY(body.error().text().find("damaged") != std::string::npos);
    }

    /// A claim page whose checksum is right and whose figures are nonsense.
    void nonsense_lengths_are_bounded() {
        Scratch s;
        auto claim = s.content().claim;
        claim.name_length = claim.file_name_length = 65535;
        std::fill(std::begin(claim.extension), std::end(claim.extension), 'e');
        claim.arguments = {0xFFFFFFF0u, 0x20u};
        QVERIFY(spool::write_page(s.files, s.file, record::claim_page, claim));
        const auto content = s.content();
        QVERIFY(content.claimed());
        QCOMPARE(content.name().size(), sizeof claim.name);
        QCOMPARE(content.file_name().size(), sizeof claim.file_name);
        QCOMPARE(std::string(content.claim.extension).size(), sizeof claim.extension - 1);
        QVERIFY(!spool::read_body(s.files, s.file, content.claim));
        claim.body_length = 0xFFFFFFFFu;
        QVERIFY(spool::write_page(s.files, s.file, record::claim_page, claim));
        QVERIFY(!spool::read_body(s.files, s.file, s.content().claim));
    }

    void a_new_record_is_zeroed_and_whole() {
        Scratch s;
        auto second = s.pool.take();
        QVERIFY(second.has_value());
        QCOMPARE(second->index, 1u);
        QVERIFY(second->fresh);
        QCOMPARE(s.get(s.spool.records, "1"), std::string(record::pooled_size, '\0'));
    }

    void a_record_given_back_is_used_again() {
        Scratch s;
        s.pool.give_back(std::move(s.file));
        auto again = s.pool.take();
        QVERIFY(again.has_value());
        QCOMPARE(again->index, 0u);
        QCOMPARE(s.count(s.spool.records), std::size_t(1));
    }

    void a_locked_record_is_not_used_again() {
        Scratch s;
        auto supervisor =
            spool::open_file(s.files, s.spool.records.get(), "0", spool::OpenMode::read_write);
        QVERIFY(supervisor && s.files.lock(supervisor->get()).value_or(false));
        s.pool.give_back(std::move(s.file));
        const auto other = s.pool.take();
        QVERIFY(other && other->index == 1);
        supervisor->reset();
        const auto first = s.pool.take();
        QVERIFY(first && first->index == 0);
    }

    void a_discarded_record_is_not_used_again() {
        Scratch s;
        s.pool.discard(std::move(s.file));
        QCOMPARE(s.pool.take()->index, 1u);
        QVERIFY(s.has(s.spool.records, "0"));
    }

    void a_grown_record_is_removed_data() {
        QTest::addColumn<int>("size");
        QTest::addColumn<bool>("kept");
        QTest::newRow("ordinary") << 100 << true;
        QTest::newRow("grown") << 100'000 << true;
        QTest::newRow("large") << (2 << 20) << false;
    }
    void a_grown_record_is_removed() {
        QFETCH(int, size);
        QFETCH(bool, kept);
        Scratch s;
        RecordBody body = sample_body();
        body.job_file.assign(static_cast<std::size_t>(size), 'a');
        s.write(body);
        const auto read = spool::read_body(s.files, s.file, s.content().claim);
        QVERIFY(read && read->job_file == body.job_file);
        s.pool.give_back(std::move(s.file));
        QCOMPARE(s.has(s.spool.records, "0"), kept);
        QCOMPARE(s.pool.take()->index, kept ? 0u : 1u);
    }

    void opens_all_records_in_order() {
        Scratch s;
        std::vector<RecordFile> more;
        for (int i = 0; i < 11; ++i)
            more.push_back(std::move(*s.pool.take()));
        for (const char* name : {"notes", "07", "1x", "-1", "99999999999"})
            s.put(s.spool.records, name, "x");
        spool::RecordPool pool(s.spool);
        std::vector<std::string> left_alone;
        auto records = pool.open_all(left_alone);
        QVERIFY(records.has_value());
        QVERIFY(left_alone.empty());
        QCOMPARE(records->size(), std::size_t(12));
        for (std::size_t i = 0; i < records->size(); ++i) {
            QCOMPARE((*records)[i].index, std::uint32_t(i));
            QVERIFY((*records)[i].fresh);  // its maker may have died before it was synced
        }
        QCOMPARE(pool.take()->index, 12u);  // none of them is free before recovery says so
    }

    /// They are left alone, and keep no record from being opened or made.
    void what_is_no_record_is_named() {
        Scratch s;
        const auto path = [&](const char* name) {
            return s.spool.path + "/.spool/records/" + name;
        };
        QCOMPARE(::symlink("0", path("3").c_str()), 0);
        QCOMPARE(::mkdir(path("5").c_str(), 0700), 0);
        QCOMPARE(::mkfifo(path("6").c_str(), 0600), 0);
        spool::RecordPool pool(s.spool);
        std::vector<std::string> left_alone;
        const auto records = pool.open_all(left_alone);
        QVERIFY(records.has_value());
        QCOMPARE(records->size(), std::size_t(1));
        std::sort(left_alone.begin(), left_alone.end());
        QCOMPARE(left_alone, (std::vector<std::string>{"3", "5", "6"}));
        QCOMPARE(pool.take()->index, 7u);
        s.put(s.spool.records, "8", "came by another hand");
        QCOMPARE(pool.take()->index, 9u);
    }

    void a_claim_that_was_overwritten_is_damaged() {
        Scratch s;
        const std::string zeros(record::page_size, '\0');
        QVERIFY(s.files.write(s.file.file.get(), 0, zeros).has_value());
        QVERIFY(spool::read_record(s.files, s.file)->claim_validity == Validity::absent);
        QVERIFY(spool::write_page(s.files, s.file, record::run_page, record::Run{}).has_value());
        QVERIFY(spool::read_record(s.files, s.file)->claim_validity == Validity::damaged);
    }

    void a_record_that_cannot_be_made_leaves_nothing() {
        for (int call = 1;; ++call) {
            Scratch s;
            s.files.arm(call, ENOSPC);
            const auto failing = s.pool.take();
            const bool reached = s.files.failed();
            s.files.disarm();
            if (!reached) break;
            QVERIFY(!failing.has_value());
            QCOMPARE(failing.error().code, ENOSPC);
            QCOMPARE(s.count(s.spool.records), std::size_t(1));
            const auto repeated = s.pool.take();
            QVERIFY(repeated && repeated->index == 1);
            QVERIFY(call < 10);
        }
    }
};

QTEST_GUILESS_MAIN(UnitRecordStore)
#include "unit_record_store.moc"
