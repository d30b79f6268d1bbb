// A model of how jobs with wishes share a machine's GPUs, simple and slow, and random schedules for
// it and the policy. It knows GPUs by numbers and wishes by tables, and none of the policy's names.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "libspool/policy.h"

namespace test {

constexpr std::uint64_t gigabyte = 1 << 30;

struct Product {
    const char* name;
    std::uint64_t memory;
};
inline constexpr std::array<Product, 4> products = {{{"NVIDIA A100-SXM4-80GB", 80 * gigabyte},
                                                     {"NVIDIA H100 80GB HBM3", 80 * gigabyte},
                                                     {"NVIDIA A100-PCIE-40GB", 40 * gigabyte},
                                                     {"NVIDIA GeForce RTX 4090", 24 * gigabyte}}};

struct TypeWish {
    const char* text;
    std::set<std::size_t> meant;  ///< products
};
inline const std::vector<TypeWish> type_wishes = {
    {"", {0, 1, 2, 3}}, {"a100", {0, 2}}, {"h100", {1}},     {"80gb", {0, 1}},
    {"a100-80gb", {0}}, {"rtx4090", {3}}, {"RTX 4090", {3}}, {"v100", {}}};

struct SharedGpu {
    int number = 0;
    std::size_t product = 0;
    bool display = false;
    std::uint64_t memory = 0;  ///< for jobs that share it
    spool::GpuSlot::State state = spool::GpuSlot::State::open;

    [[nodiscard]] std::string id() const { return "GPU-0000000" + std::to_string(number); }
    /// Some way to call it.
    [[nodiscard]] std::string name(int way) const {
        if (way == 0) return std::to_string(number);
        return way == 1 ? id() : "0000:0" + std::to_string(number) + ":00.0";
    }
};

struct Wish {
    std::optional<int> gpus;
    std::uint64_t memory = 0;
    std::size_t type = 0;        ///< in type_wishes
    std::set<int> among, avoid;  ///< numbers of GPUs; empty: any, none

    [[nodiscard]] bool wants_gpu() const { return gpus.value_or(1) > 0; }
    [[nodiscard]] std::size_t wanted() const {
        if (gpus) return static_cast<std::size_t>(*gpus);
        return among.empty() ? 1 : among.size();
    }
};

/// What a job has.
struct Held {
    std::vector<int> gpus;
    std::uint64_t memory = 0;
    int cpu_slots = 0;
    bool by_id = false;  ///< it was bound by UUID
};

class ShareModel {
public:
    struct Waiting {
        std::uint64_t job = 0;
        int priority = 0;
        Wish wish;
    };
    struct Start {
        std::uint64_t job = 0;
        std::vector<int> gpus;  ///< in the order of the pool
    };

    std::vector<SharedGpu> gpus;
    bool by_id = false;
    std::optional<int> max_gpus;
    int cpu_slots = 1;
    std::vector<Waiting> waiting;
    std::map<std::uint64_t, Held> running;

    [[nodiscard]] static bool suits(const SharedGpu& gpu, const Wish& wish) {
        return type_wishes[wish.type].meant.contains(gpu.product) &&
               wish.memory <= products[gpu.product].memory &&
               (wish.among.empty() || wish.among.contains(gpu.number)) &&
               !wish.avoid.contains(gpu.number);
    }
    [[nodiscard]] std::vector<Held> holders(int number) const {
        std::vector<Held> out;
        for (const auto& [job, held] : running)
            if (std::find(held.gpus.begin(), held.gpus.end(), number) != held.gpus.end())
                out.push_back(held);
        return out;
    }
    [[nodiscard]] std::uint64_t left(const SharedGpu& gpu) const {
        std::uint64_t taken = 0;
        for (const Held& held : holders(gpu.number))
            taken += held.memory;
        return gpu.memory - std::min(gpu.memory, taken);
    }
    [[nodiscard]] bool is_free(const SharedGpu& gpu, const Wish& wish) const {
        if (gpu.state != spool::GpuSlot::State::open) return false;
        const auto others = holders(gpu.number);
        if (wish.memory == 0) return others.empty();
        // Who has it whole, or as a slot that the pool no longer has, has it alone.
        return left(gpu) >= wish.memory &&
               std::all_of(others.begin(), others.end(), [&](const Held& held) {
                   return held.memory != 0 && held.by_id == by_id;
               });
    }
    template <typename Counts>
    [[nodiscard]] bool enough(const Wish& wish, Counts counts) const {
        const auto found = std::count_if(gpus.begin(), gpus.end(), [&](const SharedGpu& gpu) {
            return suits(gpu, wish) && counts(gpu);
        });
        return static_cast<std::size_t>(found) >= wish.wanted();
    }
    /// Whether it can have its turn without strangers leaving.
    [[nodiscard]] bool in_reach(const Wish& wish) const {
        if (!wish.wants_gpu()) return cpu_slots > 0;
        if (max_gpus && wish.wanted() > static_cast<std::size_t>(*max_gpus)) return false;
        return enough(wish, [&](const SharedGpu& gpu) {
            return gpu.state == spool::GpuSlot::State::elsewhere ||
                   (gpu.state == spool::GpuSlot::State::open && gpu.memory >= wish.memory);
        });
    }

    [[nodiscard]] int cpu_slots_used() const {
        int used = 0;
        for (const auto& [job, held] : running)
            used += held.cpu_slots;
        return used;
    }

    /// The jobs that must start now, in order, and on which GPUs. A job that must wait keeps those
    /// that it will have when the jobs that run have ended, the lowest numbers first, as many as it
    /// takes; so do the first eight that can.
    std::vector<Start> starts(bool with_gpus) {
        sort();
        ShareModel now = *this;
        std::vector<Start> out;
        std::set<int> reserved;
        std::size_t reservations = 0;
        for (const Waiting& entry : waiting) {
            const bool on_gpus = entry.wish.wants_gpu();
            if (on_gpus && !with_gpus) continue;
            auto chosen = on_gpus                            ? now.choose(entry.wish, reserved)
                          : now.cpu_slots_used() < cpu_slots ? std::optional(std::vector<int>())
                                                             : std::nullopt;
            if (chosen) {
                now.running[entry.job] = {*chosen, entry.wish.memory, on_gpus ? 0 : 1, by_id};
                out.push_back({entry.job, *chosen});
                continue;
            }
            if (!on_gpus || reservations == 8) continue;
            const auto kept = now.kept_for(entry.wish, reserved);
            if (!kept) continue;
            reserved.insert(kept->begin(), kept->end());
            ++reservations;
        }
        return out;
    }

    std::vector<std::uint64_t> next(std::size_t count) {
        sort();
        std::vector<std::uint64_t> jobs;
        for (const Waiting& entry : waiting)
            if (in_reach(entry.wish) && jobs.size() < count) jobs.push_back(entry.job);
        return jobs;
    }

    /// What must never be, whatever was decided; empty if all is well.
    [[nodiscard]] std::string fault() const {
        for (const SharedGpu& gpu : gpus) {
            const auto all = holders(gpu.number);
            const auto whole = std::count_if(all.begin(), all.end(),
                                             [](const Held& held) { return held.memory == 0; });
            if (whole > 0 && all.size() > 1) return gpu.id() + " is given whole and to another";
        }
        if (cpu_slots_used() > most_cpu_slots) return "too many CPU slots";
        return "";
    }
    /// What is wrong with giving these GPUs to a job, just before it is done.
    [[nodiscard]] std::string fault(const Wish& wish, const std::vector<int>& given) const {
        std::set<int> held(given.begin(), given.end());
        if (held.size() != given.size()) return "a GPU twice";
        if (given.size() != (wish.wants_gpu() ? wish.wanted() : 0)) return "the number of GPUs";
        for (const SharedGpu& gpu : gpus) {
            if (!held.contains(gpu.number)) continue;
            if (!suits(gpu, wish)) return gpu.id() + " is not what it asked for";
            if (gpu.state != spool::GpuSlot::State::open) return gpu.id() + " is not open";
            if (left(gpu) < wish.memory) return gpu.id() + " has not so much memory left";
        }
        for (const auto& [job, other] : running)
            held.insert(other.gpus.begin(), other.gpus.end());
        if (max_gpus && !given.empty() && held.size() > static_cast<std::size_t>(*max_gpus))
            return "more GPUs than may be held";
        return "";
    }

    static constexpr int most_cpu_slots = 3;

private:
    void sort() {
        std::stable_sort(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
            return a.priority != b.priority ? a.priority > b.priority : a.job < b.job;
        });
    }

    [[nodiscard]] std::optional<std::vector<int>> kept_for(const Wish& wish,
                                                           const std::set<int>& reserved) const {
        if (!in_reach(wish)) return std::nullopt;
        ShareModel later = *this;
        for (;;) {
            if (auto chosen = later.choose(wish, reserved)) return chosen;
            if (later.running.empty()) break;
            later.running.erase(later.running.begin());
        }
        for (SharedGpu& gpu : later.gpus)
            if (gpu.state == spool::GpuSlot::State::elsewhere) {
                gpu.state = spool::GpuSlot::State::open;
                gpu.memory = products[gpu.product].memory;
            }
        return later.choose(wish, reserved);
    }

    /// The first by rank: without a display, with the least memory that is left and enough, by the
    /// order of the pool. Of GPUs that are not held yet only as many as may be.
    [[nodiscard]] std::optional<std::vector<int>> choose(const Wish& wish,
                                                         const std::set<int>& reserved) const {
        struct Ranked {
            bool display;
            std::uint64_t left;
            std::size_t place;
            auto operator<=>(const Ranked&) const = default;
        };
        std::vector<Ranked> ranked;
        for (std::size_t place = 0; place < gpus.size(); ++place) {
            const SharedGpu& gpu = gpus[place];
            if (reserved.contains(gpu.number) || !suits(gpu, wish) || !is_free(gpu, wish)) continue;
            const bool shared = wish.memory != 0 && !holders(gpu.number).empty();
            ranked.push_back({gpu.display, shared ? left(gpu) : UINT64_MAX, place});
        }
        std::sort(ranked.begin(), ranked.end());
        std::set<int> held;
        for (const auto& [job, other] : running)
            held.insert(other.gpus.begin(), other.gpus.end());
        const std::size_t most = max_gpus ? static_cast<std::size_t>(*max_gpus) : SIZE_MAX;
        if (held.size() > most) return std::nullopt;
        std::size_t more = most - held.size();
        std::set<std::size_t> places;
        for (const Ranked& entry : ranked) {
            const bool is_new = !held.contains(gpus[entry.place].number);
            if (places.size() == wish.wanted() || (is_new && more == 0)) continue;
            places.insert(entry.place);
            if (is_new) --more;
        }
        if (places.size() < wish.wanted()) return std::nullopt;
        std::vector<int> out;
        for (const std::size_t place : places)
            out.push_back(gpus[place].number);
        return out;
    }
};

}  // namespace test
