#include "libspool/environment.h"
#include "scratch_spool.h"

class UnitEnvironment : public QObject {
    Q_OBJECT
private slots:
    void secrets_data();
    void secrets();
    void session_variables_data();
    void session_variables();
    void filter_splits_and_names_what_it_leaves_out();
    void pack_and_unpack();
    void damaged_entries_are_dropped();
    void stored_once_and_read_back();
    void a_damaged_store_is_written_anew();
    void load_refuses_other_names();
};

void UnitEnvironment::secrets_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("value");
    QTest::addColumn<bool>("secret");
    const auto row = [](const char* name, const char* value, bool secret) {
        QTest::addRow("%s=%.12s", name, value) << QString(name) << QString(value) << secret;
    };
    row("HF_TOKEN", "abcdefgh", true);
    row("GITHUBTOKEN", "abcdefgh", true);
    row("my_secret", "abcdefgh", true);
    row("DB_PASSWORD", "hunter22", true);
    row("MYSQL_PWD", "hunter22", true);
    row("WANDB_API_KEY", "0123456789abcdef", true);
    row("OPENAI_API_KEY_2", "0123456789abcdef", true);
    row("SIGNING_KEY", "abcdefgh", true);
    row("AZURE_DEVOPS_PAT", "abcdefgh", true);
    row("AWS_SOMETHING", "abcdefgh", true);
    row("BASIC_AUTH", "user:word", true);
    row("BW_SESSION", "abcdefgh==", true);
    row("GOOGLE_CREDENTIALS", "{\"type\":1}", true);
    row("PLAIN", "ghp_0123456789abcdefghijklmnop", true);
    row("PLAIN", "sk-0123456789abcdefghij", true);
    row("PLAIN", "x AKIA0123456789ABCDEF", true);
    row("PLAIN", "hf_0123456789abcdefghijklmn", true);
    row("PLAIN", "-----BEGIN RSA PRIVATE KEY-----\nabc", true);
    row("PIP_INDEX_URL", "https://me:word@packages.example.org/simple", true);
    row("BASH_FUNC_x%%", "() { curl https://a:b@c; }", true);
    row("SSH_AUTH_SOCK", "/tmp/agent.1", false);
    row("KEYBOARD", "de", false);
    row("MONKEY", "banana", false);
    row("GIT_AUTHOR_NAME", "A. Author", false);
    row("TOKENIZERS_PARALLELISM", "maybe-later", false);
    row("MAX_TOKENS", "4096", false);
    row("HF_TOKEN_PATH", "/home/me/.cache/token", false);
    row("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json", false);
    row("AWS_REGION", "eu-central-1", false);
    row("COMPASS", "north", false);
    row("USE_AUTH", "1", false);
    row("DESKTOP_SESSION", "plasma", false);
    row("BASH_FUNC_get_token%%", "() { echo hello; }", false);
    row("PIP_INDEX_URL", "https://packages.example.org/simple", false);
    row("PLAIN", "task-0123456789abcdefghijkl", false);
    row("PATH", "/usr/bin:/bin", false);
}

void UnitEnvironment::secrets() {
    QFETCH(QString, name);
    QFETCH(QString, value);
    QTEST(spool::looks_secret(name.toStdString(), value.toStdString()), "secret");
}

void UnitEnvironment::session_variables_data() {
    QTest::addColumn<bool>("session");
    for (const char* name :
         {"DISPLAY", "TMUX", "XDG_SESSION_ID", "SHLVL", "PWD", "OLDPWD", "SLURM_JOB_ID", "_"})
        QTest::newRow(name) << true;
    for (const char* name : {"PATH", "HOME", "CONDA_PREFIX", "SLURMCONF", "LANG", "PWDX"})
        QTest::newRow(name) << false;
}

void UnitEnvironment::session_variables() {
    QTEST(spool::is_session_variable(QTest::currentDataTag()), "session");
}

void UnitEnvironment::filter_splits_and_names_what_it_leaves_out() {
    const auto out = spool::filter_environment({{"PATH", "/bin"},
                                                {"HF_TOKEN", "abcdef"},
                                                {"PWD", "/x"},
                                                {"BASH_FUNC_module%%", "() { :; }"}});
    QCOMPARE(out.kept, (spool::Environment{{"PATH", "/bin"}, {"BASH_FUNC_module%%", "() { :; }"}}));
    QCOMPARE(out.secrets, std::vector<std::string>{"HF_TOKEN"});
}

void UnitEnvironment::pack_and_unpack() {
    const spool::Environment environment{{"A", "1=2"}, {"B", ""}, {"C", "line\nfeed \xff"}};
    const std::string packed = spool::pack_environment(environment);
    QCOMPARE(packed, std::string("A=1=2\0B=\0C=line\nfeed \xff\0", 23));
    QCOMPARE(spool::unpack_environment(packed), environment);
}

void UnitEnvironment::damaged_entries_are_dropped() {
    QCOMPARE(spool::unpack_environment(std::string("A=1\0noequals\0=x\0B=torn", 22)),
             (spool::Environment{{"A", "1"}}));
}

void UnitEnvironment::stored_once_and_read_back() {
    ScratchSpool scratch;
    const spool::Environment environment{{"A", "1"}};
    const auto first = spool::store_environment(scratch.spool, environment);
    const auto second = spool::store_environment(scratch.spool, environment);
    QVERIFY(first.has_value());
    QCOMPARE(*first, *second);
    QCOMPARE(first->size(), std::size_t(32));
    QCOMPARE(scratch.count(scratch.spool.environments), std::size_t(1));
    QCOMPARE(*spool::load_environment(scratch.spool, *first), environment);
    QVERIFY(*spool::store_environment(scratch.spool, {{"A", "2"}}) != *first);
}

void UnitEnvironment::a_damaged_store_is_written_anew() {
    ScratchSpool scratch;
    const spool::Environment environment{{"A", "1"}};
    const std::string name = *spool::store_environment(scratch.spool, environment);
    scratch.put(scratch.spool.environments, name, "A=");
    QVERIFY(spool::store_environment(scratch.spool, environment).has_value());
    QCOMPARE(*spool::load_environment(scratch.spool, name), environment);
}

void UnitEnvironment::load_refuses_other_names() {
    ScratchSpool scratch;
    QVERIFY(!spool::load_environment(scratch.spool, "../format"));
    QVERIFY(!spool::load_environment(scratch.spool, std::string(32, 'a')));
}

QTEST_GUILESS_MAIN(UnitEnvironment)
#include "unit_environment.moc"
