// Programs of the user's that are told what happens: hooks/job-started, job-ended, queue-empty in
// the spool. Mail, chat and anything else are theirs to do.
//
// A hook gets one line of JSON on its standard input, and in its environment GPUSPOOL_DIR and
// GPUSPOOL_HOOK. It harms nothing: it runs beside everything, is killed with all that it started
// when its time is up, and of its failures people are told. What happens while the daemon is not
// there is told to nobody.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <string>

#include "libspool/layout.h"

namespace spoold {

class Hooks {
public:
    static constexpr std::size_t at_once = 4;          ///< more wait for their turn
    static constexpr std::size_t most_waiting = 1000;  ///< what comes on top is told to nobody

    /// `trouble` is called with a sentence about the last hook that went wrong, "" when one has
    /// succeeded since; `idle` when the last of those that were called has ended. Both from the
    /// loop.
    Hooks(boost::asio::io_context& io, const spool::Spool& spool,
          std::function<void(const std::string&)> trouble, std::function<void()> idle);

    void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }
    /// Calls hooks/`name`, if it is there and may be executed, with a line of JSON.
    /// Where it is not, nothing is written: this stands in the way of every job.
    void call(const std::string& name, const std::function<std::string()>& record);
    [[nodiscard]] bool is_idle() const { return running_ == 0 && waiting_.empty(); }

private:
    struct Call {
        std::string name, record;
    };
    void next();
    void run(Call call);
    void ended(const std::string& problem);
    [[nodiscard]] std::string path_of(const std::string& name) const;

    boost::asio::io_context& io_;
    const spool::Spool& spool_;
    std::function<void(const std::string&)> trouble_;
    std::function<void()> idle_;
    std::chrono::milliseconds timeout_{60'000};
    std::deque<Call> waiting_;
    std::size_t running_ = 0;
};

}  // namespace spoold
