// A simulation of many users' daemons on one machine, which see each other only by locks and
// tickets, late and with races.
#pragma once

#include <memory>
#include <random>
#include <set>

#include "tests/support/gpu_look.h"

namespace gpu_world {

struct World;

/// A daemon of one user: jobs of random lengths, a ticket while some wait, looks that come late.
struct Daemon {
    enum class Kind { honest, dead, greedy, stale };
    std::uint32_t uid = 0;
    Kind kind = Kind::honest;
    int jobs = 0;  ///< that wait
    double shortest = 0.5, longest = 4;
    std::vector<int> sizes = {1};  ///< GPUs of its jobs: one of these, at random
    int wants = 1;                 ///< the next job
    std::optional<spool::GpuTicketSeen> ticket;
    std::unique_ptr<spool::GpuTurns> turns;
    double next_look = 0;
    double served = 0;         ///< GPU seconds
    double waited_since = -1;  ///< since when it waits and holds nothing
    double longest_wait = 0;
};

struct Held {
    Daemon* by;
    double since, until;
};

struct World {
    std::mt19937 random{1};
    double now = 0;
    int gpus = 4, nonce = 0;
    std::map<std::string, Held> held;
    /// What becomes free is still seen to be busy for a moment, up to that long.
    double longest_lag = 0;
    std::map<std::string, double> busy_until, free_since;
    double longest_idle = 0;  ///< a GPU, while somebody waited
    std::vector<std::unique_ptr<Daemon>> daemons;

    double between(double low, double high) {
        return std::uniform_real_distribution<>(low, high)(random);
    }
    [[nodiscard]] std::int64_t wall(double at) const { return start + std::llround(at * 1e9); }

    Daemon& add(Daemon::Kind kind, int jobs, const std::vector<int>& sizes = {1}) {
        auto daemon = std::make_unique<Daemon>();
        daemon->uid = 1000 + static_cast<std::uint32_t>(daemons.size());
        daemon->kind = kind;
        daemon->jobs = jobs;
        daemon->sizes = sizes;
        daemon->turns = std::make_unique<spool::GpuTurns>(daemon->uid, "s");
        renew(*daemon);
        daemons.push_back(std::move(daemon));
        return *daemons.back();
    }
    void renew(Daemon& daemon) {
        if (daemon.kind == Daemon::Kind::stale && daemon.ticket) return;
        if (daemon.sizes.size() > 1)
            daemon.wants = daemon.sizes[std::uniform_int_distribution<std::size_t>(
                0, daemon.sizes.size() - 1)(random)];
        else
            daemon.wants = daemon.sizes.front();
        if (daemon.jobs == 0)
            daemon.ticket.reset();
        else
            daemon.ticket = spool::GpuTicketSeen{
                daemon.uid, "s", std::to_string(++nonce), wall(now), {daemon.wants, {}}};
    }
    /// Everybody notices a change, each after a time of his own.
    void changed() {
        for (auto& daemon : daemons)
            daemon->next_look = std::min(daemon->next_look, now + between(0.001, 0.04));
    }
    [[nodiscard]] bool is_free(const std::string& gpu) const {
        const auto busy = busy_until.find(gpu);
        return !held.contains(gpu) && (busy == busy_until.end() || busy->second <= now);
    }
    [[nodiscard]] spool::GpuView view(const Daemon& daemon) const {
        spool::GpuView view;
        view.now = std::chrono::seconds(1000) + std::chrono::nanoseconds(std::llround(now * 1e9));
        view.wall = wall(now);
        for (int i = 0; i < gpus; ++i) {
            view.pool.push_back(std::to_string(i));
            if (is_free(view.pool.back())) view.free.push_back(view.pool.back());
        }
        for (const auto& [gpu, holder] : held)
            view.held.push_back({gpu, holder.by->uid, "s", wall(holder.since)});
        for (const auto& other : daemons)
            if (other->ticket) view.tickets.push_back(*other->ticket);
        if (daemon.jobs > 0) view.own = spool::GpuWish{daemon.wants, {}};
        return view;
    }
    void look(Daemon& daemon) {
        daemon.next_look = now + 2;
        if (daemon.kind == Daemon::Kind::dead || daemon.jobs == 0) return;
        const spool::GpuView seen = view(daemon);
        const spool::GpuTurn turn = daemon.turns->may_take(seen);
        if (turn.look_again)
            daemon.next_look = std::min(
                daemon.next_look,
                std::chrono::duration<double>(*turn.look_again - std::chrono::seconds(1000))
                    .count());
        // The greedy one heeds nobody.
        const Gpus& gpus = daemon.kind == Daemon::Kind::greedy ? seen.free : turn.gpus;
        const auto wants = static_cast<std::size_t>(daemon.wants);
        for (std::size_t from = 0; daemon.jobs > 0 && from + wants <= gpus.size(); from += wants) {
            const auto first = gpus.begin() + static_cast<std::ptrdiff_t>(from);
            take(daemon, {first, first + daemon.wants});
            if (daemon.sizes.size() > 1) break;  // the next job is another
        }
    }
    void take(Daemon& daemon, const Gpus& gpus) {
        const double length = between(daemon.shortest, daemon.longest);
        for (const std::string& gpu : gpus) {
            if (!held.emplace(gpu, Held{&daemon, now, now + length}).second) qFatal("taken twice");
            longest_idle = std::max(longest_idle, now - free_since[gpu]);
        }
        if (daemon.waited_since >= 0)
            daemon.longest_wait = std::max(daemon.longest_wait, now - daemon.waited_since);
        --daemon.jobs;
        renew(daemon);
        changed();
    }
    void account(double step) {
        std::set<const Daemon*> holding;
        for (auto& [gpu, holder] : held) {
            holder.by->served += step;
            holding.insert(holder.by);
        }
        for (auto& daemon : daemons) {
            const bool waits = daemon->jobs > 0 && !holding.contains(daemon.get());
            if (!waits) daemon->waited_since = -1;
            if (waits && daemon->waited_since < 0) daemon->waited_since = now;
        }
    }
    void advance(double step) {
        now += step;
        bool ended = false;
        for (auto entry = held.begin(); entry != held.end();) {
            if (entry->second.until > now) {
                ++entry;
                continue;
            }
            busy_until[entry->first] = free_since[entry->first] =
                now + (longest_lag > 0 ? between(0, longest_lag) : 0);
            entry = held.erase(entry);
            ended = true;
        }
        if (ended) changed();
        account(step);
        for (auto& daemon : daemons)
            if (daemon->next_look <= now) look(*daemon);
    }
};

}  // namespace gpu_world
