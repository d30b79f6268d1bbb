#include "tests/support/look.h"

#include <QDir>
#include <QFile>
#include <QJsonDocument>
#include <algorithm>
#include <filesystem>

namespace {

QByteArray read_file(const QString& path) {
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

QJsonObject named(const QJsonArray& list, const QString& name) {
    for (const QJsonValue entry : list)
        if (entry["name"].toString() == name) return entry.toObject();
    return {};
}

}  // namespace

QJsonObject state_of(const TestSpool& spool) {
    return QJsonDocument::fromJson(spool.read(".spool/state.json")).object();
}

QJsonObject json_of(const Finished& finished) {
    return QJsonDocument::fromJson(finished.out).object();
}

QJsonObject status_of(const TestSpool& spool) {
    return json_of(spool.gpuspool({"status", "--json"}));
}

QStringList pool_of(const TestSpool& spool) {
    QStringList out;
    for (const QJsonValue gpu : state_of(spool)["gpus"].toArray())
        out.append(gpu["slot"].toString());
    return out;
}

QJsonObject waiting_job(const TestSpool& spool, const QString& name) {
    return named(state_of(spool)["waiting"].toArray(), name);
}

QJsonObject running_job(const TestSpool& spool, const QString& name) {
    return named(state_of(spool)["running"].toArray(), name);
}

int supervisor_of(const TestSpool& spool, const QString& name) {
    int pid = 0;
    const bool runs =
        spool.wait_for([&] { return (pid = running_job(spool, name)["pid"].toInt()) > 0; },
                       "the process of " + name);
    const QByteArray stat = runs ? read_file(QString("/proc/%1/stat").arg(pid)) : QByteArray();
    const qsizetype end = stat.lastIndexOf(')');  // of the name, which may have anything in it
    return end < 0 ? 0 : stat.mid(end + 2).split(' ').value(1).toInt();
}

QString problems_of(const TestSpool& spool) {
    QString out;
    for (const QJsonValue problem : state_of(spool)["problems"].toArray())
        out += problem.toString() + '\n';
    return out;
}

bool wait_for_reason(const TestSpool& spool, const QString& name, const QString& kind) {
    const auto reached = [&] {
        return waiting_job(spool, name)["reason"].toObject()["kind"].toString() == kind;
    };
    return spool.wait_for(reached, name + " to wait because of " + kind);
}

QString wait_sentence(const TestSpool& spool, const QString& name) {
    return named(status_of(spool)["waiting"].toArray(), name)["reason"].toString();
}

bool wait_for_log(const TestSpool& spool, const QString& name, const QByteArray& text) {
    return spool.wait_for([&] { return spool.read("running/" + name + ".log").contains(text); },
                          '"' + text + "\" in running/" + name + ".log");
}

QString state_of_result(const TestSpool& spool, const QString& name) {
    return spool.wait_for_result(name)["state"].toString();
}

bool wait_for_problem(const TestSpool& spool, const QString& text) {
    return spool.wait_for([&] { return problems_of(spool).contains(text); },
                          "a problem with \"" + text + '"');
}

bool shell(const TestSpool& spool, const QString& script) {
    const Finished done = spool.run("/bin/bash", {"-euc", "I=$GPUSPOOL_DIR/incoming\n" + script});
    if (done.exit_code != 0)
        qWarning("%s\nended with %d: %s", qPrintable(script), done.exit_code,
                 (done.out + done.err).constData());
    return done.exit_code == 0;
}

QByteArray home_file(const TestSpool& spool, const QString& name) {
    return read_file(spool.scratch(name));
}

QByteArray ran(const TestSpool& spool) {
    return home_file(spool, "ran");
}

bool wait_until_ran(const TestSpool& spool, const QByteArray& lines) {
    return spool.wait_for([&] { return ran(spool) == lines; },
                          "these jobs to have begun: " + lines);
}

bool write_home_file(const TestSpool& spool, const QString& name, const QByteArray& text) {
    QFile file(spool.scratch(name));
    return file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
}

QList<QByteArray> names_in(const TestSpool& spool, const QString& directory) {
    QList<QByteArray> names;
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator(spool.path(directory).toStdString(), error))
        names.append(QByteArray::fromStdString(entry.path().filename().string()));
    std::sort(names.begin(), names.end());
    return names;
}

int processes_with(const TestSpool& spool, const QByteArray& text) {
    const QByteArray ours = "GPUSPOOL_DIR=" + spool.path().toUtf8();
    int count = 0;
    for (const QString& pid : QDir("/proc").entryList(QDir::Dirs)) {
        if (!pid.front().isDigit()) continue;
        const QByteArray command = read_file("/proc/" + pid + "/cmdline").replace('\0', ' ');
        if (command.contains(text) &&
            read_file("/proc/" + pid + "/environ").split('\0').contains(ours))
            ++count;
    }
    return count;
}

QByteArray gated(const QByteArray& name, const QByteArray& end) {
    return "echo " + name + " >> ~/ran\necho started\nuntil [ -e ~/" + name +
           ".go ]; do sleep 0.02; done\n" + end;
}

QByteArray gated_job(const QByteArray& name, const QByteArray& directives) {
    return "#SPOOL --gpus=0\n" + directives + gated(name);
}

bool open_gate(const TestSpool& spool, const QString& name) {
    return write_home_file(spool, name + ".go", {});
}
