// What a daemon of user 1000 sees of GPUs, locks and tickets, put together in one expression.
#pragma once

#include <QMetaType>
#include <algorithm>
#include <cmath>

#include "libspool/gpu_fairness.h"

using Gpus = std::vector<std::string>;

inline constexpr std::uint32_t us = 1000, bob = 1001, eve = 1002;
inline constexpr std::int64_t start = 1'700'000'000'000'000'000;

/// A look by us (1000, spool "a") at `seconds` after the start.
struct Look {
    spool::GpuView view;

    explicit Look(double seconds, Gpus free, spool::GpuWish own = {}) {
        view.now =
            std::chrono::seconds(1000) + std::chrono::nanoseconds(std::llround(seconds * 1e9));
        view.wall = start + std::llround(seconds * 1e9);
        view.pool = {"0", "1", "2", "3"};
        view.free = std::move(free);
        view.own = std::move(own);
        ticket(us, -1);
    }
    Look& ticket(std::uint32_t uid, double since, spool::GpuWish wish = {}, std::string nonce = "n",
                 std::string spool = {}) {
        if (spool.empty()) spool = uid == us ? "a" : "x";
        if (uid == us && spool == "a")
            std::erase_if(view.tickets,
                          [](const auto& t) { return t.uid == us && t.spool == "a"; });
        view.tickets.push_back(
            {uid, spool, nonce, start + std::llround(since * 1e9), std::move(wish)});
        return *this;
    }
    Look& holds(std::uint32_t uid, const std::string& gpu, double since = -100) {
        view.held.push_back({gpu, uid, "x", start + std::llround(since * 1e9)});
        return *this;
    }
};

Q_DECLARE_METATYPE(Look)
