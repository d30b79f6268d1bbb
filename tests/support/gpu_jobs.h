// Jobs that keep their GPUs until they are told, and what the programs say of jobs and GPUs.
#pragma once

#include <QFile>
#include <QJsonArray>

#include "libspool/control.h"
#include "libspool/layout.h"
#include "libspool/posix_files.h"
#include "libspool/system.h"
#include "tests/support/look.h"

/// A job that says `words` (expanded by the shell) and ends when home/`go` is there. Its process
/// is in home/pid.
inline QByteArray held_job(const TestSpool& spool, const QByteArray& words,
                           const QByteArray& options = {}, const QString& go = "go") {
    return "#SPOOL " + options + "\necho " + words + "\necho $$ > " +
           spool.scratch("pid.$$").toUtf8() + "; mv " + spool.scratch("pid.$$").toUtf8() + " " +
           spool.scratch("pid").toUtf8() + "\nuntil [[ -e " + spool.scratch(go).toUtf8() +
           " ]]; do sleep 0.05; done\n";
}

inline void let_go(const TestSpool& spool, const QString& go = "go") {
    QFile file(spool.scratch(go));
    if (!file.open(QIODevice::WriteOnly)) qFatal("cannot let jobs go");
}

/// Waits until the reason of a job contains `text`.
inline bool waits_with(const TestSpool& spool, const QString& name, const QString& text) {
    const bool told = spool.wait_for([&] { return wait_sentence(spool, name).contains(text); },
                                     name + "'s reason: " + text);
    if (!told) qWarning("it is: %s", qPrintable(wait_sentence(spool, name)));
    return told;
}

/// A member of what `gpuspool gpus --json` says of the GPU with this id.
inline QJsonValue gpu_member(const TestSpool& spool, const QString& id, const QString& key) {
    for (const auto& gpu : json_of(spool.gpuspool({"gpus", "--json"}))["gpus"].toArray())
        if (gpu.toObject()["id"] == id) return gpu.toObject()[key];
    return {};
}

/// Waits until `gpuspool gpus --json` says so of a GPU.
inline bool gpu_says(const TestSpool& spool, const QString& id, const QString& key,
                     const QString& value) {
    const bool told = spool.wait_for([&] { return gpu_member(spool, id, key).toString() == value; },
                                     id + "'s " + key + ": " + value);
    if (!told) qWarning("it is: %s", qPrintable(gpu_member(spool, id, key).toString()));
    return told;
}
