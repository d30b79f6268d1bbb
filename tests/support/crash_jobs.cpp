#include "tests/support/crash_jobs.h"

#include <QDir>
#include <QFile>
#include <QJsonDocument>
#include <QSet>
#include <algorithm>

namespace {

QStringList names_in(const TestSpool& spool, const QString& directory) {
    return QDir(spool.path(directory)).entryList(QDir::Files | QDir::Hidden | QDir::System);
}

/// Under which names the jobs were dropped that have a result.
QSet<QString> files_with_results(const TestSpool& spool) {
    QSet<QString> files;
    for (const QString& name : names_in(spool, "done")) {
        if (!name.endsWith(".json")) continue;
        const auto result = QJsonDocument::fromJson(spool.read("done/" + name)).object();
        files << result["file"].toString();
    }
    return files;
}

}  // namespace

QByteArray CrashJobs::script(const QString& label, const QByteArray& body) const {
    const QByteArray mark = label.toUtf8() +
                            " $GPUSPOOL_JOB_ID ${CUDA_VISIBLE_DEVICES:-none}\" >> " +
                            marks_.toUtf8() + "\n";
    return "echo \"start " + mark + body + "\necho \"end " + mark;
}

bool CrashJobs::drop(const QString& label, const QByteArray& body) {
    jobs_.append(CrashJob{label + ".job"});
    return spool_.drop(label + ".job", script(label, body));
}

bool CrashJobs::write_in_place(const QString& label, const QByteArray& body) {
    jobs_.append(CrashJob{label + ".job"});
    return spool_.write_in_place(label + ".job", script(label, body));
}

bool CrashJobs::drop_failing(const QString& label) {
    jobs_.append({label + ".job", "failed", 3});
    return spool_.drop(label + ".job", script(label, "trap 'echo x >/dev/null' EXIT; exit 3"));
}

bool CrashJobs::drop_invalid(const QString& label) {
    CrashJob job{label + ".job", "rejected"};
    job.may_run = false;
    jobs_.append(job);
    return spool_.drop(label + ".job", "#SPOOL --gpus=banana\n" + script(label, {}));
}

bool CrashJobs::drop_retried(const QString& label) {
    jobs_.append({label + ".job", "succeeded", 0, 2});
    return spool_.drop(label + ".job", "#SPOOL --retries=2 --retry-delay=100ms\n" +
                                           script(label + "-$GPUSPOOL_ATTEMPT",
                                                  "[ $GPUSPOOL_ATTEMPT != 1 ] || exit 5"));
}

bool CrashJobs::drop_with_output(const QString& label) {
    CrashJob job{label + ".job"};
    job.output = spool_.scratch("outputs/" + label + "/text");
    jobs_.append(job);
    return spool_.drop(label + ".job", "#SPOOL --output=" + job.output.toUtf8() + "\n" +
                                           script(label, "echo said"));
}

bool CrashJobs::drop_array(const QString& label) {
    CrashJob job{label + ".job"};
    job.tasks = 3;
    jobs_.append(job);
    return spool_.drop(label + ".job",
                       "#SPOOL --array=0-2\n" + script(label + "-$SLURM_ARRAY_TASK_ID", {}));
}

bool CrashJobs::drop_cancelled(const QString& label) {
    jobs_.append({label + ".job", "cancelled"});
    wishes_.append([this, label] {
        if (has_result(label + ".job")) return true;
        return has_started(label) && spool_.gpuspool({"cancel", label}).exit_code == 0;
    });
    // It does not outlive its supervisor.
    return spool_.drop(label + ".job",
                       script(label, "while [ -e /proc/$PPID/exe ]; do sleep 0.1; done; exit 4"));
}

bool CrashJobs::drop_withdrawn(const QString& label) {
    CrashJob job{label + ".job", "cancelled"};
    job.may_run = false;
    jobs_.append(job);
    wishes_.append([this, name = label + ".job"] {
        if (!spool_.read(".spool/waiting").contains('"' + name.toUtf8() + '"')) return false;
        return QFile::remove(spool_.path("incoming/" + name)) || has_result(name);
    });
    return spool_.drop(label + ".job", "#SPOOL --hold\n" + script(label, {}));
}

void CrashJobs::go_on() {
    for (qsizetype i = wishes_.size() - 1; i >= 0; --i)
        if (wishes_[i]()) wishes_.removeAt(i);
}

bool CrashJobs::has_started(const QString& label) const {
    const QList<ExecutionMark> all = marks();
    return std::any_of(all.begin(), all.end(),
                       [&](const ExecutionMark& mark) { return mark.label == label; });
}

bool CrashJobs::has_result(const QString& file_name) const {
    return files_with_results(spool_).contains(file_name);
}

bool CrashJobs::submit(const QString& label, const QByteArray& body) {
    // A submitted script keeps its extension.
    jobs_.append(CrashJob{label + ".sh"});
    const QString file = spool_.scratch(label + ".sh");
    QFile out(file);
    if (!out.open(QIODevice::WriteOnly) || out.write(script(label, body)) < 0) return false;
    out.close();
    return spool_.gpuspool({"submit", "--name", label, "--no-env", file}).exit_code == 0;
}

bool CrashJobs::settled() const {
    if (!names_in(spool_, "running").isEmpty()) return false;
    const QSet<QString> ended = files_with_results(spool_);
    return std::all_of(jobs_.begin(), jobs_.end(), [&](const CrashJob& job) {
        return ended.contains(job.file_name) && !spool_.exists("incoming/" + job.file_name);
    });
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
