#include "spoold/captured_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "libspool/system.h"
#include "spoold/process_tree.h"

namespace spoold {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using spool::Result;

/// One of the two outputs: a pipe of which the loop has the reading end.
struct OutputPipe {
    explicit OutputPipe(asio::io_context& io) : reading(io) {}
    ~OutputPipe() { close_writing(); }

    Result<int> open() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return spool::system_error("make a pipe", {}, errno);
        writing = ends[1];
        error_code refused;
        reading.assign(ends[0], refused);
        if (refused) {
            ::close(ends[0]);
            return spool::system_error("wait for a pipe", {}, refused.value());
        }
        reading.non_blocking(true, refused);
        if (refused) return spool::system_error("wait for a pipe", {}, refused.value());
        return writing;
    }
    void close_writing() {
        if (writing >= 0) ::close(std::exchange(writing, -1));
    }

    asio::posix::stream_descriptor reading;
    int writing = -1;
};

class CapturedRun : public std::enable_shared_from_this<CapturedRun> {
public:
    CapturedRun(asio::io_context& io, std::size_t limit, CapturedHandler handler)
        : io_(io), out_(io), err_(io), timer_(io), limit_(limit), handler_(std::move(handler)) {}
    ~CapturedRun() {
        if (child_ && !finished_) end_tree();
    }

    void run(ProcessOptions options, std::chrono::milliseconds timeout) {
        if (auto started = start_child(std::move(options)); !started)
            return asio::post(io_, [self = shared_from_this(), error = started.error()] {
                self->finish(tl::unexpected(error));
            });
        read(out_, captured_.output);
        read(err_, captured_.errors);
        // Weak: the child belongs to this object, which the timer keeps.
        child_->async_wait([weak = weak_from_this()](std::optional<int> status) {
            if (const auto self = weak.lock()) self->end(status);
        });
        timer_.expires_after(timeout);
        timer_.async_wait([self = shared_from_this()](error_code error) {
            if (!error) self->time_out();
        });
    }

private:
    Result<void> start_child(ProcessOptions options) {
        const auto out = out_.open();
        const auto err = err_.open();
        if (!out) return tl::unexpected(out.error());
        if (!err) return tl::unexpected(err.error());
        if (options.environment.empty())
            for (char** entry = environ; *entry != nullptr; ++entry)
                options.environment.emplace_back(*entry);
        options.environment.push_back(mark_);
        options.stdout_fd = *out;
        options.stderr_fd = *err;
        options.new_session = true;
        auto child = start(io_, options);
        out_.close_writing();
        err_.close_writing();
        if (!child) return tl::unexpected(child.error());
        child_ = std::move(*child);
        return {};
    }

    /// Waits for readiness and reads in the handler, so that no byte is ever between the pipe and
    /// `text`.
    void read(OutputPipe& pipe, std::string& text) {
        pipe.reading.async_wait(asio::posix::stream_descriptor::wait_read,
                                [self = shared_from_this(), &pipe, &text](error_code error) {
                                    if (error || self->finished_) return;
                                    if (self->take(pipe, text)) self->read(pipe, text);
                                });
    }

    /// Takes what is there, at most a full pipe at a time; false at the end of the output.
    bool take(OutputPipe& pipe, std::string& text) {
        std::array<char, 16384> buffer;
        for (int round = 0; round < 64; ++round) {
            error_code error;
            const std::size_t size = pipe.reading.read_some(asio::buffer(buffer), error);
            if (error) return error == asio::error::would_block || error == asio::error::try_again;
            const std::size_t kept = std::min(size, limit_ - text.size());
            text.append(buffer.data(), kept);
            captured_.truncated |= kept < size;
        }
        return true;
    }

    void end_tree() { kill_tree({child_->pid(), child_->pid(), mark_}); }

    void end(std::optional<int> status) {
        captured_.status = status;
        complete();
    }

    void time_out() {
        if (finished_) return;
        captured_.timed_out = true;
        end_tree();
        complete();
    }

    void complete() {
        if (finished_) return;
        take(out_, captured_.output);
        take(err_, captured_.errors);
        finish(std::move(captured_));
    }

    void finish(Result<Captured> result) {
        finished_ = true;
        error_code ignored;
        timer_.cancel();
        (void)out_.reading.close(ignored);
        (void)err_.reading.close(ignored);
        child_.reset();
        std::exchange(handler_, nullptr)(std::move(result));
    }

    asio::io_context& io_;
    OutputPipe out_, err_;
    asio::steady_timer timer_;
    std::optional<ChildProcess> child_;
    std::string mark_ = std::string(capture_mark_variable) + "=" + spool::random_hex();
    std::size_t limit_;
    CapturedHandler handler_;
    Captured captured_;
    bool finished_ = false;
};

}  // namespace

void run_captured(asio::io_context& io, ProcessOptions options, std::size_t limit_bytes,
                  std::chrono::milliseconds timeout, CapturedHandler handler) {
    std::make_shared<CapturedRun>(io, limit_bytes, std::move(handler))
        ->run(std::move(options), timeout);
}

}  // namespace spoold
