// Arrays whose tasks go on until they are told, and what is seen of them.
#pragma once

#include <algorithm>

#include "tests/support/look.h"

/// Each task notes that it runs, then goes on until ~/go or ~/go.TASK is there.
inline QByteArray gated_tasks(const QByteArray& directives) {
    return "#SPOOL --gpus=0\n" + directives +
           "echo $SLURM_ARRAY_TASK_ID >> ~/ran\n"
           "until [ -e ~/go ] || [ -e ~/go.$SLURM_ARRAY_TASK_ID ]; do sleep 0.02; done\n";
}

/// The lines of a file of the home directory that hold numbers, sorted.
inline QList<QByteArray> lines_of(const TestSpool& spool, const QString& file) {
    QList<QByteArray> lines = home_file(spool, file).split('\n');
    lines.removeAll("");
    std::sort(lines.begin(), lines.end(),
              [](const QByteArray& a, const QByteArray& b) { return a.toInt() < b.toInt(); });
    return lines;
}

inline QList<QByteArray> numbers(int first, int last) {
    QList<QByteArray> out;
    for (int i = first; i <= last; ++i)
        out << QByteArray::number(i);
    return out;
}

inline bool wait_until_ran(const TestSpool& spool, const QList<QByteArray>& tasks) {
    return spool.wait_for([&] { return lines_of(spool, "ran") == tasks; },
                          "these tasks to have begun: " + tasks.join(' '));
}

/// The entry of that name in the published list of open arrays.
inline QJsonObject array_named(const TestSpool& spool, const QString& name) {
    const QJsonArray arrays = state_of(spool)["arrays"].toArray();
    for (const auto& array : arrays)
        if (array.toObject()["name"] == name) return array.toObject();
    return {};
}

inline bool wait_until_open(const TestSpool& spool, const QString& name) {
    return spool.wait_for([&] { return !array_named(spool, name).isEmpty(); },
                          name + " to be open");
}

/// What the result says of the tasks.
inline QJsonObject tasks_of(const TestSpool& spool, const QString& name) {
    return spool.wait_for_result(name)["tasks"].toObject();
}
