// Job files that must be accepted, or rejected with the line and the remedy: what the tests of both
// formats share.
#pragma once

#include <QtTest>
#include <string>

#include "libspool/job_file.h"

namespace test {

inline spool::JobSpec read_accepted(const std::string& text) {
    auto spec = spool::read_new_job_file(text, "x.job");
    if (!spec) qFatal("%s", spec.error().text().c_str());
    return *spec;
}

inline void add_rejection_columns() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<int>("line");
    QTest::addColumn<QByteArray>("part");
}

/// `part` is in the message; line 0: none is named.
inline void add_rejection(const QByteArray& text, int line, const char* part) {
    QTest::addRow("%s", text.toPercentEncoding().left(200).constData())
        << text << line << QByteArray(part);
}

/// Checks the row that is being tested.
inline void check_rejection() {
    QFETCH(QByteArray, text);
    QFETCH(int, line);
    QFETCH(QByteArray, part);
    const auto spec = spool::read_new_job_file(text.toStdString(), "incoming/x.job");
    QVERIFY(!spec);
    QCOMPARE(spec.error().path, std::string("incoming/x.job"));
    QVERIFY2(spec.error().line.value_or(0) == line, spec.error().text().c_str());
    QVERIFY2(spec.error().message.find(part.toStdString()) != std::string::npos,
             spec.error().message.c_str());
}

}  // namespace test
