// One wish in the four forms in which a job can say it: a #SPOOL line, an #SBATCH line where Slurm
// has one, a key of a JSON job, an option of gpuspool submit.
#pragma once

#include <QByteArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QMetaType>
#include <QStringList>

struct Wish {
    QList<QPair<QString, QString>> settings;  ///< keys and values, as after #SPOOL --
    QByteArray sbatch;                        ///< empty: Slurm has none
    QStringList options;                      ///< empty: the command has none
};
Q_DECLARE_METATYPE(Wish)

inline QByteArray spool_script(const Wish& wish, const QByteArray& body) {
    QByteArray lines;
    for (const auto& [key, value] : wish.settings)
        lines += "#SPOOL --" + key.toUtf8() + "='" + value.toUtf8() + "'\n";
    return lines + body;
}

inline QByteArray sbatch_script(const Wish& wish, const QByteArray& body) {
    return "#!/bin/bash\n#SBATCH " + wish.sbatch + "\n" + body;
}

/// `command`: an argument list, or text for the shell.
inline QByteArray json_job(const Wish& wish, const QJsonValue& command) {
    QJsonObject job{{"command", command}};
    for (auto [key, value] : wish.settings) {
        bool is_number = false;
        const int number = value.toInt(&is_number);
        const QString name = key.replace('-', '_');
        if (name == "env")
            job[name] = QJsonObject{{value.section('=', 0, 0), value.section('=', 1)}};
        else if (is_number && name != "time")
            job[name] = number;
        else
            job[name] = value;
    }
    return QJsonDocument(job).toJson();
}
