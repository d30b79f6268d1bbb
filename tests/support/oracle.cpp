#include "tests/support/oracle.h"

#include <QDir>
#include <QFile>
#include <QJsonDocument>
#include <QSet>

using namespace std::chrono_literals;

namespace {

QStringList names_in(const TestSpool& spool, const QString& directory) {
    return QDir(spool.path(directory)).entryList(QDir::Files | QDir::Hidden | QDir::System);
}

QString stem_of(const QString& name) {
    return name.left(name.lastIndexOf('.'));
}

struct NamedResult {
    QString file;  ///< in done/
    QJsonObject json;
};

QList<NamedResult> all_results(const TestSpool& spool, QStringList& wrong) {
    QList<NamedResult> results;
    for (const QString& name : names_in(spool, "done")) {
        if (!name.endsWith(".json")) continue;
        const auto document = QJsonDocument::fromJson(spool.read("done/" + name));
        if (!document.isObject()) wrong << "done/" + name + " is not whole";
        results.append({name, document.object()});
    }
    return results;
}

/// Each submitted job is in exactly one place.
void check_places(const CrashJobs& jobs, const QList<NamedResult>& results, QStringList& wrong) {
    const TestSpool& spool = jobs.spool();
    for (const CrashJob& job : jobs.jobs()) {
        QStringList places;
        if (spool.exists("incoming/" + job.file_name)) places << "incoming/";
        if (spool.exists("running/" + job.file_name)) places << "running/";
        for (const NamedResult& result : results)
            if (result.json["file"].toString() == job.file_name) places << "done/" + result.file;
        if (places.size() != 1)
            wrong << job.file_name + " is in " + QString::number(places.size()) +
                         " places: " + places.join(' ');
    }
}

/// What the last attempt of a job calls itself.
QString label_of(const CrashJobs& jobs, const NamedResult& result) {
    const QString file = result.json["file"].toString();
    for (const CrashJob& job : jobs.jobs())
        if (job.is_retried && job.file_name == file)
            return stem_of(file) + "-" + QString::number(result.json["attempt"].toInt());
    return stem_of(file);
}

/// What a result says is what the job itself wrote.
void check_executions(const CrashJobs& jobs, const QList<NamedResult>& results,
                      QStringList& wrong) {
    QMap<QString, int> starts, ends;
    for (const ExecutionMark& mark : jobs.marks())
        ++(mark.is_end ? ends : starts)[mark.label];
    for (const CrashJob& job : jobs.jobs()) {
        const QString label = stem_of(job.file_name);
        if (!job.may_run && starts[label] > 0) wrong << label + " was executed, it is not valid";
    }
    for (const QString& label : starts.keys())
        if (starts[label] > 1)
            wrong << label + " was executed " + QString::number(starts[label]) + " times";
    for (const NamedResult& result : results) {
        const QString label = label_of(jobs, result);
        const QString state = result.json["state"].toString();
        const bool zero = result.json["exit_code"].isDouble() && result.json["exit_code"] == 0;
        if ((state == "succeeded") != zero)
            wrong << label + " is " + state + " with another exit code";
        if (state == "succeeded" && (starts[label] != 1 || ends[label] != 1))
            wrong << label + " is succeeded and was not executed to its end";
        if (state == "rejected" && starts[label] > 0) wrong << label + " was rejected and executed";
    }
}

void check_numbers(const QList<NamedResult>& results, QStringList& wrong) {
    QMap<qint64, QString> numbers;
    QMap<QString, QString> tokens;
    for (const NamedResult& result : results) {
        const qint64 number = result.json["id"].toInteger();
        const QString token = result.json["token"].toString();
        if (number <= 0) wrong << "done/" + result.file + " has no number";
        if (numbers.contains(number))
            wrong << QString("number %1 is in done/%2 and done/%3")
                         .arg(number)
                         .arg(numbers[number], result.file);
        if (!token.isEmpty() && tokens.contains(token))
            wrong << "one attempt has two results: " + tokens[token] + " " + result.file;
        numbers[number] = result.file;
        tokens[token] = result.file;
    }
}

/// Between the start and the end of a job nothing else starts on its slot.
void check_slots(const QList<ExecutionMark>& marks, QStringList& wrong) {
    QMap<QString, int> end_at;
    for (int i = 0; i < marks.size(); ++i)
        if (marks[i].is_end) end_at[marks[i].label] = i;
    for (int i = 0; i < marks.size(); ++i) {
        if (marks[i].is_end || !end_at.contains(marks[i].label)) continue;
        for (int k = i + 1; k < end_at[marks[i].label]; ++k)
            if (!marks[k].is_end && marks[k].slot == marks[i].slot)
                wrong << marks[k].label + " started on the slot of " + marks[i].label;
    }
}

void check_leftovers(const CrashJobs& jobs, const QList<NamedResult>& results, QStringList& wrong) {
    const TestSpool& spool = jobs.spool();
    for (const QString& name : names_in(spool, "running"))
        wrong << "left behind: running/" + name;
    QSet<QString> stems;
    for (const NamedResult& result : results)
        stems << stem_of(result.file);
    for (const QString& name : names_in(spool, "done"))
        if (name.endsWith(".job") && !stems.contains(stem_of(name)))
            wrong << "no result beside done/" + name;
}

}  // namespace

QByteArray CrashJobs::script(const QString& label, const QByteArray& body) const {
    const QByteArray mark = label.toUtf8() +
                            " $GPUSPOOL_JOB_ID ${CUDA_VISIBLE_DEVICES:-none}\" >> " +
                            marks_.toUtf8() + "\n";
    return "echo \"start " + mark + body + "\necho \"end " + mark;
}

bool CrashJobs::drop(const QString& label, const QByteArray& body) {
    jobs_.append({label + ".job"});
    return spool_.drop(label + ".job", script(label, body));
}

bool CrashJobs::write_in_place(const QString& label, const QByteArray& body) {
    jobs_.append({label + ".job"});
    return spool_.write_in_place(label + ".job", script(label, body));
}

bool CrashJobs::drop_invalid(const QString& label) {
    jobs_.append({label + ".job", false});
    return spool_.drop(label + ".job", "#SPOOL --gpus=banana\n" + script(label, {}));
}

bool CrashJobs::drop_retried(const QString& label) {
    jobs_.append({label + ".job", true, true});
    return spool_.drop(label + ".job", "#SPOOL --retries=2 --retry-delay=100ms\n" +
                                           script(label + "-$GPUSPOOL_ATTEMPT",
                                                  "[ $GPUSPOOL_ATTEMPT != 1 ] || exit 5"));
}

bool CrashJobs::submit(const QString& label, const QByteArray& body) {
    // A submitted script keeps its extension.
    jobs_.append({label + ".sh"});
    const QString file = spool_.scratch(label + ".sh");
    QFile out(file);
    if (!out.open(QIODevice::WriteOnly) || out.write(script(label, body)) < 0) return false;
    out.close();
    return spool_.gpuspool({"submit", "--name", label, "--no-env", file}).exit_code == 0;
}

bool CrashJobs::settled() const {
    if (!names_in(spool_, "running").isEmpty()) return false;
    QSet<QString> ended;
    for (const QString& name : names_in(spool_, "done"))
        if (name.endsWith(".json"))
            ended
                << QJsonDocument::fromJson(spool_.read("done/" + name)).object()["file"].toString();
    for (const CrashJob& job : jobs_)
        if (!ended.contains(job.file_name) || spool_.exists("incoming/" + job.file_name))
            return false;
    return true;
}

QList<ExecutionMark> CrashJobs::marks() const {
    QFile file(marks_);
    QList<ExecutionMark> marks;
    if (!file.open(QIODevice::ReadOnly)) return marks;
    for (const QByteArray& line : file.readAll().split('\n')) {
        const QStringList words = QString::fromUtf8(line).split(' ');
        if (words.size() == 4) marks.append({words[0] == "end", words[1], words[2], words[3]});
    }
    return marks;
}

QMap<QString, QByteArray> snapshot_of_done(const TestSpool& spool) {
    QMap<QString, QByteArray> files;
    for (const QString& name : names_in(spool, "done"))
        files[name] = spool.read("done/" + name);
    return files;
}

QStringList findings(const CrashJobs& jobs) {
    QStringList wrong;
    const QList<NamedResult> results = all_results(jobs.spool(), wrong);
    check_places(jobs, results, wrong);
    check_executions(jobs, results, wrong);
    check_numbers(results, wrong);
    check_slots(jobs.marks(), wrong);
    check_leftovers(jobs, results, wrong);
    return wrong;
}

QStringList changes_by_restarts(TestSpool& spool, const QStringList& arguments) {
    QStringList wrong;
    if (spool.is_running() && !spool.stop()) wrong << "the daemon did not end as it should";
    const auto before = snapshot_of_done(spool);
    for (int i = 0; i < 2; ++i) {
        if (!spool.start(arguments)) return wrong << "the daemon did not start again";
        const bool looked = spool.wait_for([&] { return spool.exists(".spool/state.json"); },
                                           "the daemon to publish its state");
        if (!looked || !spool.stop()) wrong << "the restarted daemon did not end as it should";
    }
    for (const QString& name : names_in(spool, ".spool/scripts"))
        wrong << "left behind: .spool/scripts/" + name;
    const auto after = snapshot_of_done(spool);
    if (before == after) return wrong;
    for (const QString& name : QSet<QString>(before.keyBegin(), before.keyEnd()) +
                                   QSet<QString>(after.keyBegin(), after.keyEnd()))
        if (before.value(name) != after.value(name)) wrong << "a restart changed done/" + name;
    return wrong;
}
