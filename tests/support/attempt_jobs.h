// Jobs that count their attempts, and what is seen between two of them.
#pragma once

#include <QJsonArray>

#include "tests/support/look.h"

/// Writes its attempt into ~/ran, then does what `end` says.
inline QByteArray counted(const QByteArray& directives, const QByteArray& end) {
    return "#SPOOL --gpus=0 " + directives +
           "\necho try $GPUSPOOL_ATTEMPT\necho $GPUSPOOL_ATTEMPT >> ~/ran\n" + end + "\n";
}

inline bool wait_until_retrying(const TestSpool& spool, const QString& name) {
    return spool.wait_for([&] { return running_job(spool, name)["phase"] == "retrying"; },
                          name + " to wait for its next attempt");
}

inline QStringList states_of(const QJsonObject& result) {
    QStringList states;
    for (const QJsonValue& attempt : result["attempts"].toArray())
        states << attempt.toObject()["state"].toString();
    return states;
}
