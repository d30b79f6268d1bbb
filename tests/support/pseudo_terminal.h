// A program on a terminal of its own.
//
//     PseudoTerminal terminal(GPUSPOOL, {"gpus", "--watch"}, spool.environment, 80);
//     QVERIFY(spool.wait_for([&] { return terminal.output().contains("free"); }, "a table"));
//     terminal.type("\x03");
//     QCOMPARE(terminal.wait_for_end(), 130);
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QByteArray>
#include <QProcessEnvironment>
#include <QStringList>
#include <chrono>
#include <vector>

class PseudoTerminal {
public:
    PseudoTerminal(const QString& program, const QStringList& arguments,
                   const QProcessEnvironment& environment, unsigned short columns) {
        QList<QByteArray> words{program.toUtf8()}, variables;
        for (const QString& argument : arguments)
            words << argument.toUtf8();
        for (const QString& variable : environment.toStringList())
            variables << variable.toUtf8();
        auto argv = pointers(words), envp = pointers(variables);
        winsize size{24, columns, 0, 0};
        child_ = ::forkpty(&fd_, nullptr, nullptr, &size);
        if (child_ < 0) qFatal("cannot make a terminal");
        if (child_ > 0) return;
        ::execve(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    ~PseudoTerminal() {
        if (child_ > 0) {
            ::kill(child_, SIGKILL);
            ::waitpid(child_, nullptr, 0);
        }
        ::close(fd_);
    }
    PseudoTerminal(const PseudoTerminal&) = delete;
    PseudoTerminal& operator=(const PseudoTerminal&) = delete;

    /// All that it has written until now, with "\n" for the terminal's "\r\n".
    QByteArray output() {
        for (pollfd waited{fd_, POLLIN, 0}; ::poll(&waited, 1, 0) > 0;) {
            char buffer[4096];
            const ssize_t count = ::read(fd_, buffer, sizeof buffer);
            if (count <= 0) break;  // EIO: everybody has closed the other side
            written_.append(buffer, count);
        }
        QByteArray text = written_;
        return text.replace("\r\n", "\n");
    }
    void type(const QByteArray& keys) const {
        if (::write(fd_, keys.constData(), static_cast<size_t>(keys.size())) != keys.size())
            qFatal("cannot type");
    }
    [[nodiscard]] pid_t pid() const { return child_; }
    /// Its exit code; -N if signal N ended it, -1 if it does not end in time.
    int wait_for_end(std::chrono::seconds deadline = std::chrono::seconds(60)) {
        const auto end = std::chrono::steady_clock::now() + deadline;
        int status = 0;
        while (::waitpid(child_, &status, WNOHANG) == 0) {
            (void)output();  // who cannot write does not end
            if (std::chrono::steady_clock::now() > end) return -1;
            ::poll(nullptr, 0, 5);
        }
        child_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

private:
    static std::vector<char*> pointers(QList<QByteArray>& words) {
        std::vector<char*> out;
        for (QByteArray& word : words)
            out.push_back(word.data());
        out.push_back(nullptr);
        return out;
    }

    int fd_ = -1;
    pid_t child_ = 0;
    QByteArray written_;
};
