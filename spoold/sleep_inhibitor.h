// Keeps the machine from going to sleep while jobs run, by logind's inhibitor locks.
//
// systemd-inhibit(1) holds the lock for as long as it runs, and runs for as long as we hold its
// standard input open: so the lock goes with the daemon, however that ends.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>

#include "process.h"

namespace spoold {

class SleepInhibitor {
public:
    /// `refused` is called from the loop, with the reason, when the lock cannot be had; not where
    /// there is no systemd-inhibit at all.
    SleepInhibitor(boost::asio::io_context& io, std::function<void(const std::string&)> refused)
        : io_(io), refused_(std::move(refused)) {}
    ~SleepInhibitor() { let_sleep(); }
    SleepInhibitor(const SleepInhibitor&) = delete;
    SleepInhibitor& operator=(const SleepInhibitor&) = delete;

    /// Both may be repeated. After a refusal nothing is tried until `let_sleep` was called.
    void keep_awake();
    void let_sleep();

private:
    void tell(const std::string& problem);

    boost::asio::io_context& io_;
    std::function<void(const std::string&)> refused_;
    std::optional<ChildProcess> process_;
    int input_ = -1;  ///< closing it releases the lock
    bool tried_ = false, told_ = false;
};

}  // namespace spoold
