// What must hold in a spool whatever happened to its daemon (docs/protocol.md, the promise).
//
// A test submits `CrashJobs`. After it has broken what it wanted to break, and a clean daemon has
// settled everything, `findings` compares the spool with what the jobs were to come to and with
// what they wrote. An empty list means that the promise was kept.
#pragma once

#include <QJsonObject>
#include <QMap>
#include <QStringList>

#include "tests/support/crash_jobs.h"

/// Whether what a test has broken permits that a job has come to this and not to its true state.
using Excuse = std::function<bool(const CrashJob&, const QJsonObject& result)>;

/// So many supervisors or processes of their jobs were killed: each may have cost one job its
/// outcome, which is lost then, or its life by SIGKILL, which the result says.
Excuse excuse_kills(int kills);
/// The machine has lost its power: a job that was taken may be interrupted.
Excuse excuse_power_cut();

/// Names, sizes and contents of the files in done/.
QMap<QString, QByteArray> snapshot_of_done(const TestSpool& spool);

/// What is wrong, one sentence each. To be asked when nothing runs any more. Each job must be in
/// its true state but for what `excuse` permits.
QStringList findings(const CrashJobs& jobs, const Excuse& excuse = {});

/// Starts and stops the daemon twice; says what that changed in done/.
QStringList changes_by_restarts(TestSpool& spool, const QStringList& arguments);
