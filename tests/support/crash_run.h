// One run of a sweep: a handful of jobs, something that goes wrong, a clean daemon, the oracle.
#pragma once

#include <QMap>
#include <QString>
#include <QStringList>
#include <functional>
#include <vector>

#include "tests/support/oracle.h"

struct CrashRun {
    QString title;              ///< shown before what was found
    QStringList daemon;         ///< `TestSpool::wrapper` of the first daemon
    QStringList second_daemon;  ///< of a second one that recovers; empty: there is none
    QStringList supervisor;     ///< options of strace for spool-exec of the first daemon; what it
                                ///< kills may cost outcomes, so many and no more
    QString scratch_parent;     ///< where the scratch directory is made; empty: as usual
    std::chrono::milliseconds patience = std::chrono::seconds(4);  ///< for the first daemon
    Excuse excuse = {};                                            ///< more that is permitted
    QMap<QString, QString> environment = {};                       ///< of the daemons
};

/// Carries it out. What was found, one sentence each.
QStringList carry_out(const CrashRun& run);

/// Carries all of them out, some at the same time, and collects what was found.
QStringList carry_out(const std::vector<CrashRun>& runs);

/// The options with which every daemon of a run is started.
QStringList crash_run_arguments();

/// The usual jobs: those that are there before the daemon, and those that come while it runs.
bool drop_first_jobs(CrashJobs& jobs);
bool drop_later_jobs(CrashJobs& jobs);
