// Running an event loop in a test until something has happened, with a deadline.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <thread>

namespace test {

/// Runs `io` until `condition()`; false when `limit` is over.
template <typename Condition>
bool run_until(boost::asio::io_context& io, Condition condition,
               std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        io.restart();
        if (io.run_one_for(std::chrono::milliseconds(10)) == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace test
