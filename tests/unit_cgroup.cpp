// Where jobs' cgroups are made and controllers used: on a model of the kernel's rules, in which
// every step can fail.
#include <QtTest>
#include <algorithm>
#include <cerrno>
#include <map>

#include "spoold/cgroup.h"

using spoold::CgroupPlace;
using spoold::JobCgroup;

namespace {

/// Controllers are had only as the parent hands them down; a cgroup that hands some down has no
/// processes, but for the root.
class ModelCgroups : public spoold::CgroupFiles {
public:
    struct Node {
        std::set<std::string> controllers, handed_down, processes;
    };
    std::map<std::string, Node> nodes;
    std::string root;                  ///< one that has no events
    std::map<std::string, int> fails;  ///< "write /x/file": errno
    std::set<std::string> read_only;
    QStringList log;

    spool::Result<void> make(const std::string& directory) override {
        if (auto failed = step("make", directory); !failed) return failed;
        if (nodes.contains(directory)) return {};
        const std::string above = directory.substr(0, directory.rfind('/'));
        if (!nodes.contains(above)) return fail("make", directory, ENOENT);
        nodes[directory].controllers = nodes[above].handed_down;
        return {};
    }
    void remove(const std::string& directory) override {
        if (!below(directory).empty() || !nodes[directory].processes.empty()) return;
        log << "remove " + QString::fromStdString(directory);
        nodes.erase(directory);
    }
    std::vector<std::string> below(const std::string& directory) override {
        std::vector<std::string> names;
        for (const auto& [path, node] : nodes)
            if (path.starts_with(directory + "/") &&
                path.find('/', directory.size() + 1) == path.npos)
                names.push_back(path.substr(directory.size() + 1));
        return names;
    }
    bool may_write(const std::string& file) override { return !read_only.contains(file); }
    spool::Result<std::string> read(const std::string& file) override {
        const auto [directory, name] = split(file);
        if (!nodes.contains(directory)) return fail("read", file, ENOENT);
        const Node& node = nodes[directory];
        if (name == "cgroup.controllers") return joined(node.controllers);
        if (name == "cgroup.procs") return joined(node.processes);
        if (name == "cgroup.events" && directory != root) return "populated 1\n";
        return fail("read", file, ENOENT);
    }
    spool::Result<void> write(const std::string& file, const std::string& text) override {
        if (auto failed = step("write", file, text); !failed) return failed;
        const auto [directory, name] = split(file);
        if (!nodes.contains(directory)) return fail("write", file, ENOENT);
        Node& node = nodes[directory];
        if (name == "cgroup.procs") {
            if (!node.handed_down.empty()) return fail("write", file, EBUSY);
            for (auto& [path, other] : nodes)
                other.processes.erase(text);
            node.processes.insert(text);
            return {};
        }
        if (!node.processes.empty() && directory != root) return fail("write", file, EBUSY);
        if (!node.controllers.contains(text.substr(1))) return fail("write", file, ENOENT);
        node.handed_down.insert(text.substr(1));
        for (auto& [path, child] : nodes)
            if (path.substr(0, path.rfind('/')) == directory)
                child.controllers.insert(text.substr(1));
        return {};
    }

private:
    spool::Result<void> step(const std::string& what, const std::string& path,
                             const std::string& text = {}) {
        log << QString::fromStdString(what + " " + path + (text.empty() ? "" : " " + text));
        const auto found = fails.find(what + " " + path + (text.empty() ? "" : " " + text));
        if (found == fails.end()) return {};
        return fail(what, path, found->second);
    }
    static tl::unexpected<spool::Error> fail(const std::string& what, const std::string& path,
                                             int code) {
        return spool::system_error(what, path, code);
    }
    static std::pair<std::string, std::string> split(const std::string& file) {
        const std::size_t slash = file.rfind('/');
        return {file.substr(0, slash), file.substr(slash + 1)};
    }
    static std::string joined(const std::set<std::string>& words) {
        std::string out;
        for (const std::string& word : words)
            out += word + "\n";
        return out;
    }
};

const std::string identity = "0123456789abcdef0123456789abcdef";
const std::string place = "/c/spoold.scope", jobs = place + "/gpuspool-0123456789ab",
                  leaf = jobs + ".daemon";

/// A delegated cgroup with nothing in it but process 7, which is ours.
ModelCgroups delegated() {
    ModelCgroups files;
    files.nodes["/c"].handed_down = files.nodes[place].controllers = {"cpu", "io", "memory"};
    files.nodes[place].processes = {"7"};
    return files;
}

JobCgroup prepare(ModelCgroups& files, const std::string& no_control = {}) {
    return spoold::prepare_job_cgroup(files, CgroupPlace{place, {7}, no_control}, identity);
}

bool says(const JobCgroup& cgroup, const char* text) {
    return cgroup.obstacle.find(text) != std::string::npos;
}

}  // namespace

class UnitCgroup : public QObject {
    Q_OBJECT

private slots:
    void processes_move_before_controllers_are_used() {
        ModelCgroups files = delegated();
        const JobCgroup got = prepare(files);
        QVERIFY2(got.memory && got.processors && got.obstacle.empty(), got.obstacle.c_str());
        QCOMPARE(got.jobs, jobs);
        QCOMPARE(got.supervisors, leaf);
        const auto line = [](const std::string& text) { return QString::fromStdString(text); };
        QCOMPARE(files.log, (QStringList{line("make " + jobs), line("make " + leaf),
                                         line("write " + leaf + "/cgroup.procs 7"),
                                         line("write " + place + "/cgroup.subtree_control +memory"),
                                         line("write " + jobs + "/cgroup.subtree_control +memory"),
                                         line("write " + place + "/cgroup.subtree_control +cpu"),
                                         line("write " + jobs + "/cgroup.subtree_control +cpu")}));
        // What a job's cgroup will have, and no controller that nobody asked for.
        QCOMPARE(files.nodes[jobs].handed_down, (std::set<std::string>{"cpu", "memory"}));
    }

    void a_second_time_changes_nothing() {
        ModelCgroups files = delegated();
        (void)prepare(files);
        const auto before = files.nodes[jobs].handed_down;
        const JobCgroup again = prepare(files);
        QVERIFY(again.memory && again.processors);
        QCOMPARE(files.nodes[jobs].handed_down, before);
        QCOMPARE(files.nodes[leaf].processes, (std::set<std::string>{"7"}));
    }

    void what_is_not_ours_stays_where_it_is() {
        ModelCgroups files = delegated();
        files.nodes[place].processes = {"7", "812"};
        const JobCgroup got = prepare(files);
        QVERIFY(!got.memory && !got.processors);
        QVERIFY2(says(got, "process 812"), got.obstacle.c_str());
        QCOMPARE(got.jobs, jobs);  // jobs have cgroups all the same
        QCOMPARE(got.supervisors, std::string());
        QCOMPARE(files.nodes[place].processes, (std::set<std::string>{"7", "812"}));
        QVERIFY(files.nodes[place].handed_down.empty());
        QVERIFY(!files.nodes.contains(leaf));
    }

    void the_root_has_processes_and_controllers() {
        ModelCgroups files = delegated();
        files.root = place;
        files.nodes[place].processes = {"1", "7", "812"};
        const JobCgroup got = prepare(files);
        QVERIFY2(got.memory && got.processors, got.obstacle.c_str());
        QCOMPARE(files.nodes[place].processes, (std::set<std::string>{"1", "7", "812"}));
    }

    void controllers_that_must_not_be_used() {
        ModelCgroups files = delegated();
        const JobCgroup got = prepare(files, "systemd would refuse");
        QVERIFY(!got.memory && !got.processors);
        QCOMPARE(got.jobs, jobs);
        QVERIFY(says(got, "systemd would refuse"));
        QCOMPARE(files.nodes[place].processes, (std::set<std::string>{"7"}));
    }

    void controllers_that_are_not_there_data() {
        QTest::addColumn<QString>("directory");
        QTest::addColumn<QStringList>("there");
        QTest::addColumn<bool>("memory");
        QTest::addColumn<bool>("processors");
        QTest::addColumn<QString>("said");
        QTest::newRow("none") << "/c" << QStringList{"hugetlb"} << false << false << "cgroup v1";
        QTest::newRow("memory alone")
            << "/c" << QStringList{"memory"} << true << false << "controller cpu";
        QTest::newRow("processors alone")
            << "/c" << QStringList{"cpu"} << false << true << "controller memory";
        QTest::newRow("a user's manager") << "/c/user@1000.service" << QStringList{"memory", "pids"}
                                          << true << false << "systemctl edit user@.service";
    }
    void controllers_that_are_not_there() {
        QFETCH(QString, directory);
        QFETCH(QStringList, there);
        const std::string base = directory.toStdString();
        ModelCgroups files;
        for (const QString& name : there)
            files.nodes[base].controllers.insert(name.toStdString());
        const JobCgroup got = spoold::prepare_job_cgroup(files, CgroupPlace{base, {7}}, identity);
        QTEST(got.memory, "memory");
        QTEST(got.processors, "processors");
        QFETCH(QString, said);
        QVERIFY2(says(got, qPrintable(said)), got.obstacle.c_str());
    }

    void each_step_may_fail_data() {
        QTest::addColumn<QString>("step");
        QTest::addColumn<int>("code");
        QTest::addColumn<bool>("cgroups");
        QTest::addColumn<bool>("memory");
        QTest::addColumn<bool>("processors");
        const auto row = [](const std::string& step, int code, bool cgroups, bool memory,
                            bool processors) {
            QTest::addRow("%s: %s", step.c_str(), strerror(code))
                << QString::fromStdString(step) << code << cgroups << memory << processors;
        };
        row("make " + jobs, EACCES, false, false, false);
        row("make " + jobs, EROFS, false, false, false);
        row("make " + leaf, ENOSPC, true, false, false);
        row("write " + leaf + "/cgroup.procs 7", EACCES, true, false, false);
        for (const int code : {EBUSY, EACCES, ENOENT}) {
            row("write " + place + "/cgroup.subtree_control +memory", code, true, false, true);
            row("write " + jobs + "/cgroup.subtree_control +memory", code, true, false, true);
            row("write " + place + "/cgroup.subtree_control +cpu", code, true, true, false);
            row("write " + jobs + "/cgroup.subtree_control +cpu", code, true, true, false);
        }
    }
    void each_step_may_fail() {
        QFETCH(QString, step);
        QFETCH(int, code);
        ModelCgroups files = delegated();
        files.fails[step.toStdString()] = code;
        const JobCgroup got = prepare(files);
        QTEST(!got.jobs.empty(), "cgroups");
        QTEST(got.memory, "memory");
        QTEST(got.processors, "processors");
        QVERIFY(!got.obstacle.empty());
        // Supervisors have a place of their own where no process may be beside the jobs'.
        QCOMPARE(!got.supervisors.empty(), got.memory || got.processors);
    }

    void a_cgroup_that_is_not_ours_is_left_as_it_is() {
        ModelCgroups files = delegated();
        files.read_only.insert(place + "/cgroup.procs");
        const JobCgroup got = prepare(files);
        QVERIFY(got.jobs.empty());
        QVERIFY(says(got, "packaging/quickstart"));
        QVERIFY(!files.nodes.contains(jobs));
    }

    void without_cgroups() {
        ModelCgroups files;
        const JobCgroup got = spoold::prepare_job_cgroup(files, {}, identity);
        QVERIFY(got.jobs.empty() && !got.obstacle.empty());
        QVERIFY(files.log.isEmpty());
    }

    void what_ended_jobs_left_is_removed() {
        ModelCgroups files = delegated();
        files.nodes[jobs];
        files.nodes[jobs + "/job-1.1"];
        files.nodes[jobs + "/job-2.1"].processes = {"99"};
        const JobCgroup got = prepare(files);
        QVERIFY(!files.nodes.contains(jobs + "/job-1.1"));
        QVERIFY(files.nodes.contains(jobs + "/job-2.1"));
        spoold::remove_job_cgroup(files, got);
        QVERIFY(files.nodes.contains(jobs));
        files.nodes[jobs + "/job-2.1"].processes.clear();
        files.nodes[leaf].processes.clear();
        spoold::remove_job_cgroup(files, got);
        QVERIFY(!files.nodes.contains(jobs) && !files.nodes.contains(leaf));
    }
};

QTEST_GUILESS_MAIN(UnitCgroup)
#include "unit_cgroup.moc"
