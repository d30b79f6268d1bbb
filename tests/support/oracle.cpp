#include "tests/support/oracle.h"

#include <QDir>
#include <QFile>
#include <QJsonDocument>
#include <QSet>
#include <algorithm>
#include <csignal>

using namespace std::chrono_literals;

namespace {

constexpr auto everything = QDir::AllEntries | QDir::Hidden | QDir::System | QDir::NoDotAndDotDot;

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

/// What the last attempts of a job, one or one for each task, call themselves.
QStringList labels_of(const CrashJobs& jobs, const NamedResult& result) {
    const QString file = result.json["file"].toString();
    const auto numbered = [&](int number) { return stem_of(file) + "-" + QString::number(number); };
    for (const CrashJob& job : jobs.jobs()) {
        if (job.file_name != file) continue;
        if (job.attempts > 1) return {numbered(result.json["attempt"].toInt())};
        QStringList tasks;
        for (int task = 0; task < job.tasks; ++task)
            tasks << numbered(task);
        if (job.tasks > 0) return tasks;
    }
    return {stem_of(file)};
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
        const QString state = result.json["state"].toString();
        const bool zero = result.json["exit_code"].isDouble() && result.json["exit_code"] == 0;
        const QStringList labels = labels_of(jobs, result);
        if (labels.size() == 1 && (state == "succeeded") != zero)
            wrong << labels.first() + " is " + state + " with another exit code";
        for (const QString& label : labels) {
            if (state == "succeeded" && (starts[label] != 1 || ends[label] != 1))
                wrong << label + " is succeeded and was not executed to its end";
            if (state == "rejected" && starts[label] > 0)
                wrong << label + " was rejected and executed";
        }
    }
}

/// How a result differs from what the job has truly come to; empty if it does not.
QString departure(const CrashJob& job, const QJsonObject& result) {
    const QString state = result["state"].toString(), reason = result["reason"].toString();
    const bool has_code = job.state == "succeeded" || job.state == "failed";
    if (state != job.state) return "is " + state + " (" + reason + "), and should be " + job.state;
    if (has_code && job.tasks == 0 && result["exit_code"].toInt(-1) != job.exit_code)
        return "has another exit code than " + QString::number(job.exit_code) + ": " + reason;
    if (job.tasks == 0 && has_code && result["attempt"].toInt() != job.attempts)
        return QString("was tried %1 times").arg(result["attempt"].toInt());
    return {};
}

/// Each job is in its true state, unless what was broken permits another one.
void check_states(const CrashJobs& jobs, const QList<NamedResult>& results, const Excuse& excuse,
                  QStringList& wrong) {
    for (const CrashJob& job : jobs.jobs())
        for (const NamedResult& result : results) {
            if (result.json["file"].toString() != job.file_name) continue;
            const QString departed = departure(job, result.json);
            if (departed.isEmpty() || (excuse && excuse(job, result.json))) continue;
            wrong << job.file_name + " " + departed;
        }
}

/// What a job has said is where it wanted it, once, and its log leads there.
void check_outputs(const CrashJobs& jobs, const QList<NamedResult>& results, const Excuse& excuse,
                   QStringList& wrong) {
    const TestSpool& spool = jobs.spool();
    for (const CrashJob& job : jobs.jobs())
        for (const NamedResult& result : results) {
            if (job.output.isEmpty() || result.json["file"].toString() != job.file_name) continue;
            QFile output(job.output);
            const bool said = output.open(QIODevice::ReadOnly) && output.readAll() == "said\n";
            if (result.json["state"] == "succeeded" && !said)
                wrong << job.file_name + " has another output than it made";
            const QString log = spool.path("done/" + stem_of(result.file) + ".log");
            const bool leads = QFile::symLinkTarget(log) == job.output;
            if (result.json["state"] == "succeeded" && !leads &&
                !(excuse && excuse(job, result.json)))
                wrong << "done/" + stem_of(result.file) + ".log does not lead to the output";
        }
}

/// Each task of an array that has succeeded has a result of its own that says so.
void check_tasks(const CrashJobs& jobs, const QList<NamedResult>& results, QStringList& wrong) {
    for (const CrashJob& job : jobs.jobs())
        for (const NamedResult& result : results) {
            if (job.tasks == 0 || result.json["file"].toString() != job.file_name) continue;
            for (int task = 0; task < job.tasks; ++task) {
                const QString name = stem_of(result.file) + ".tasks/" + QString::number(task);
                const QString state = jobs.spool().result(name)["state"].toString();
                if (state.isEmpty()) wrong << "there is no done/" + name + ".json";
                if (result.json["state"] == "succeeded" && state != "succeeded")
                    wrong << "done/" + name + ".json says " + state;
            }
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

QMap<QString, QByteArray> snapshot_of_done(const TestSpool& spool) {
    QMap<QString, QByteArray> files;
    for (const QString& name : names_in(spool, "done"))
        files[name] = spool.read("done/" + name);
    return files;
}

Excuse excuse_kills(int kills) {
    return [left = kills](const CrashJob& job, const QJsonObject& result) mutable {
        const QString state = result["state"].toString();
        const bool killed =
            result["signal"].toInt() == SIGKILL || result["exit_code"].toInt() == 128 + SIGKILL;
        const bool tried_once_more = job.attempts > 1 && state == "succeeded";
        const bool by_a_kill =
            job.may_run && (state == "lost" || (state == "failed" && (killed || job.tasks > 0)) ||
                            tried_once_more);
        return by_a_kill && left-- > 0;
    };
}

Excuse excuse_power_cut() {
    return [](const CrashJob& job, const QJsonObject& result) {
        return job.may_run && result["state"] == "interrupted";
    };
}

QStringList findings(const CrashJobs& jobs, const Excuse& excuse) {
    QStringList wrong;
    const QList<NamedResult> results = all_results(jobs.spool(), wrong);
    check_places(jobs, results, wrong);
    check_executions(jobs, results, wrong);
    check_states(jobs, results, excuse, wrong);
    check_outputs(jobs, results, excuse, wrong);
    check_tasks(jobs, results, wrong);
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
    for (const QString& place : {"running", ".spool/scripts"})
        for (const QString& name : QDir(spool.path(place)).entryList(everything))
            wrong << "left behind: " + place + "/" + name;
    const auto after = snapshot_of_done(spool);
    if (before == after) return wrong;
    for (const QString& name : QSet<QString>(before.keyBegin(), before.keyEnd()) +
                                   QSet<QString>(after.keyBegin(), after.keyEnd()))
        if (before.value(name) != after.value(name)) wrong << "a restart changed done/" + name;
    return wrong;
}
