// What a person sees of a spool besides results, and what a person does with a shell.
#pragma once

#include <QByteArray>
#include <QJsonArray>
#include <QJsonObject>
#include <QString>

#include "tests/support/daemon.h"

/// What the daemon publishes: .spool/state.json.
QJsonObject state_of(const TestSpool& spool);
/// What a program has printed, and what `gpuspool status --json` prints.
QJsonObject json_of(const Finished& finished);
QJsonObject status_of(const TestSpool& spool);
/// The slots of the pool, as published.
QStringList pool_of(const TestSpool& spool);
/// The entry of that name in the published list `waiting` or `running`; empty if there is none.
QJsonObject waiting_job(const TestSpool& spool, const QString& name);
QJsonObject running_job(const TestSpool& spool, const QString& name);
/// The process that watches over the main one of a job; 0, and a warning, if none can be found.
int supervisor_of(const TestSpool& spool, const QString& name);
/// All sentences about what is wrong, a line each.
QString problems_of(const TestSpool& spool);

/// Waits until the job is published as waiting for a reason of this kind ("no_command").
bool wait_for_reason(const TestSpool& spool, const QString& name, const QString& kind);
/// Why a job waits, as `gpuspool status` says it to a person.
QString wait_sentence(const TestSpool& spool, const QString& name);
/// Waits until running/NAME.log is there and contains `text`.
bool wait_for_log(const TestSpool& spool, const QString& name, const QByteArray& text);
/// Waits for the end of a job, and returns what became of it.
QString state_of_result(const TestSpool& spool, const QString& name);
/// Waits for a problem whose sentence contains `text`.
bool wait_for_problem(const TestSpool& spool, const QString& text);

/// Runs a bash script in the spool's environment; $I is incoming/. False, and a warning, if it
/// fails.
bool shell(const TestSpool& spool, const QString& script);

/// A file of the scratch home; empty if it is not there.
QByteArray home_file(const TestSpool& spool, const QString& name);
/// What jobs have noted in ~/ran, and waits until it is that.
QByteArray ran(const TestSpool& spool);
bool wait_until_ran(const TestSpool& spool, const QByteArray& lines);
bool write_home_file(const TestSpool& spool, const QString& name, const QByteArray& text);

/// Names in a directory of the spool, sorted, dot-files too; bytes, as names are.
QList<QByteArray> names_in(const TestSpool& spool, const QString& directory);
/// How many processes have this spool in their environment and `text` in their command line.
int processes_with(const TestSpool& spool, const QByteArray& text);

/// A job that says that it ran (in ~/ran) and waits for its gate; then comes `end`.
QByteArray gated(const QByteArray& name, const QByteArray& end = {});
/// The same without a GPU, with more directives.
QByteArray gated_job(const QByteArray& name, const QByteArray& directives = {});
bool open_gate(const TestSpool& spool, const QString& name);
