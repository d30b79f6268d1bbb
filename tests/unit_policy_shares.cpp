// Jobs that share GPUs and wish for certain ones, in random schedules: the policy against a model
// (gpu_share_model.h).
#include <QtTest>

#include "tests/gpu_share_model.h"

using spool::Need;
using spool::Policy;
using test::gigabyte;
using test::Held;
using test::products;
using test::SharedGpu;
using test::ShareModel;
using test::type_wishes;
using test::Wish;

namespace {

/// A policy and the model side by side, driven by one seed.
class Simulation {
public:
    explicit Simulation(unsigned seed) : random_(seed) { change_machine(); }

    /// Makes one random event and one decision; what differs, or nothing.
    std::string step() {
        switch (pick(12)) {
            case 0:
                change_machine();
                break;
            case 1:
                change_use();
                break;
            case 2:
            case 3:
            case 4:
                end_one();
                break;
            case 5:
                withdraw_one();
                break;
            default:
                arrive();
        }
        return decide(pick(10) != 0);
    }
    [[nodiscard]] const std::string& trace() const { return trace_; }
    /// How often what the schedules are to be about has happened.
    std::map<std::string, int> seen;

private:
    int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
    template <typename List>
    std::size_t pick_index(const List& list) {
        return static_cast<std::size_t>(pick(static_cast<int>(list.size())));
    }

    /// Other GPUs, bound in another way, with other limits. A number is always the same GPU.
    void change_machine() {
        model_.gpus.clear();
        for (int number = 0; number < 5; ++number) {
            const auto product = static_cast<std::size_t>(number * 7 % 4);
            if (pick(4) != 0 || (number == 4 && model_.gpus.empty()))
                model_.gpus.push_back({number, product, number == 1, 0, {}});
        }
        model_.by_id = pick(3) == 0;
        model_.max_gpus = pick(3) == 0 ? std::optional(pick(5)) : std::nullopt;
        model_.cpu_slots = pick(ShareModel::most_cpu_slots + 1);
        change_use();
    }
    /// What others do on the GPUs.
    void change_use() {
        for (SharedGpu& gpu : model_.gpus) {
            const int state = pick(8);
            gpu.state = static_cast<spool::GpuSlot::State>(state > 4 ? 0 : state);
            gpu.memory = products[gpu.product].memory;
            if (pick(3) == 0) gpu.memory -= static_cast<std::uint64_t>(pick(20)) * gigabyte;
        }
        policy_.set_pool(pool());
    }
    [[nodiscard]] spool::Pool pool() const {
        spool::Pool pool;
        for (const SharedGpu& gpu : model_.gpus) {
            spool::GpuSlot slot;
            slot.text = model_.by_id ? gpu.id() : std::to_string(gpu.number);
            slot.devices = {gpu.id()};
            slot.state = gpu.state;
            pool.gpu_slots.push_back(slot);
            pool.gpus[gpu.id()] = {{gpu.name(0), gpu.name(1), gpu.name(2)},
                                   products[gpu.product].name,
                                   gpu.display,
                                   gpu.memory,
                                   products[gpu.product].memory};
        }
        pool.max_gpus = model_.max_gpus;
        pool.cpu_slots = model_.cpu_slots;
        return pool;
    }

    std::set<int> some_gpus(int most) {
        std::set<int> out;
        for (int i = pick(most) + 1; i > 0; --i)
            out.insert(pick(5));
        return out;
    }
    Wish random_wish() {
        Wish wish;
        if (pick(3) != 0) wish.gpus = pick(4);
        if (wish.gpus == 0) return wish;
        if (pick(2) == 0) wish.memory = static_cast<std::uint64_t>(pick(45) + 1) * gigabyte;
        if (pick(3) == 0) wish.type = pick_index(type_wishes);
        if (pick(4) == 0) wish.among = some_gpus(3);
        if (pick(4) == 0) wish.avoid = some_gpus(2);
        return wish;
    }
    Need need_of(const Wish& wish) {
        Need need;
        need.gpus = wish.gpus;
        need.gpu_memory = wish.memory;
        need.gpu_type = type_wishes[wish.type].text;
        for (const int number : wish.among)
            need.gpu_ids.push_back(SharedGpu{number, 0, false, 0, {}}.name(pick(3)));
        for (const int number : wish.avoid)
            need.gpu_avoid.push_back(SharedGpu{number, 0, false, 0, {}}.name(pick(3)));
        return need;
    }

    void arrive() {
        const std::uint64_t job = ++last_;
        const int priority = pick(4) == 0 ? pick(3) - 1 : 0;
        const Wish wish = random_wish();
        needs_[job] = need_of(wish);
        model_.waiting.push_back({job, priority, wish});
        policy_.add(job, priority, needs_[job]);
    }
    void end_one() {
        if (model_.running.empty()) return;
        auto job = model_.running.begin();
        std::advance(job, pick_index(model_.running));
        policy_.release(job->first);
        model_.running.erase(job);
    }
    void withdraw_one() {
        if (model_.waiting.empty()) return;
        const auto at = pick_index(model_.waiting);
        policy_.remove(model_.waiting[at].job);
        model_.waiting.erase(model_.waiting.begin() + static_cast<std::ptrdiff_t>(at));
    }

    /// The same state, as a daemon that is started anew finds it.
    Policy rebuilt() {
        Policy policy;
        policy.set_pool(pool());
        for (const auto& [job, held] : model_.running) {
            spool::GrantedGpus gpus;
            gpus.memory = held.memory;
            for (const int number : held.gpus) {
                const SharedGpu gpu{number, 0, false, 0, {}};
                gpus.texts.push_back(held.by_id ? gpu.id() : std::to_string(number));
                gpus.devices.push_back(gpu.id());
            }
            policy.adopt(job, gpus, held.cpu_slots);
        }
        auto waiting = model_.waiting;
        std::shuffle(waiting.begin(), waiting.end(), random_);
        for (const auto& entry : waiting)
            policy.add(entry.job, entry.priority, needs_[entry.job]);
        return policy;
    }

    std::string decide(bool with_gpus) {
        if (policy_.next(4) != model_.next(4)) return "next() is not what is first in line";
        Policy again = rebuilt();
        const auto starts = policy_.decide(with_gpus);
        if (text_of(again.decide(with_gpus)) != text_of(starts))
            return "a policy built anew decides otherwise";
        trace_ += text_of(starts) + "; ";
        for (const spool::Start& start : starts)
            if (std::string fault = check(start, with_gpus); !fault.empty())
                return "job " + std::to_string(start.job) + ": " + fault;
        if (const auto idle = model_.next_start(with_gpus))
            return "job " + std::to_string(idle->job) + " waits while what it needs is free";
        if (policy_.waiting() != model_.waiting.size()) return "the number of waiting jobs";
        if (policy_.cpu_slots_used() != model_.cpu_slots_used()) return "CPU slots in use";
        if (!starts.empty() && pick(6) == 0) take_back(starts.back().job);
        return model_.fault();
    }
    static std::string text_of(const std::vector<spool::Start>& starts) {
        std::string out;
        for (const spool::Start& start : starts) {
            out += std::to_string(start.job) + ":";
            for (const std::size_t slot : start.grant.gpu_slots)
                out += std::to_string(slot) + "+";
        }
        return out;
    }

    std::string check(const spool::Start& start, bool with_gpus) {
        const auto next = model_.next_start(with_gpus);
        if (!next) return "should not start";
        if (next->job != start.job) return "started before job " + std::to_string(next->job);
        const auto entry =
            std::find_if(model_.waiting.begin(), model_.waiting.end(),
                         [&](const auto& waiting) { return waiting.job == start.job; });
        std::vector<int> given;
        for (const std::size_t slot : start.grant.gpu_slots)
            given.push_back(model_.gpus.at(slot).number);
        if (std::string fault = model_.fault(entry->wish, given); !fault.empty()) return fault;
        if (given != next->gpus) return "was given other GPUs than those that come first";
        if (start.grant.gpu_memory != entry->wish.memory) return "the memory that it has";
        note(*entry, given);
        model_.running[start.job] = {given, entry->wish.memory, start.grant.cpu_slots,
                                     model_.by_id};
        taken_ = *entry;
        model_.waiting.erase(entry);
        return "";
    }
    void note(const ShareModel::Waiting& entry, const std::vector<int>& given) {
        for (const int number : given)
            if (!model_.holders(number).empty()) ++seen["shared"];
        if (given.size() > 1) ++seen["several"];
        if (entry.wish.type != 0 && !given.empty()) ++seen["type"];
        if (!entry.wish.among.empty()) ++seen["ids"];
        if (!entry.wish.avoid.empty()) ++seen["avoid"];
        for (const auto& other : model_.waiting)
            if (other.job < entry.job && other.priority == entry.priority && !given.empty())
                ++seen["overtaken"];
    }
    void take_back(std::uint64_t job) {
        policy_.take_back(job);
        model_.running.erase(job);
        model_.waiting.push_back(taken_);
        ++seen["taken back"];
    }

    std::mt19937 random_;
    Policy policy_;
    ShareModel model_;
    std::map<std::uint64_t, Need> needs_;
    ShareModel::Waiting taken_;  ///< that was started last
    std::uint64_t last_ = 0;
    std::string trace_;
};

}  // namespace

class UnitPolicyShares : public QObject {
    Q_OBJECT

private slots:
    void random_schedules_follow_the_model() {
        std::map<std::string, int> seen;
        for (unsigned seed = 0; seed < 1000; ++seed) {
            Simulation simulation(seed);
            for (int step = 0; step < 60; ++step) {
                const std::string fault = simulation.step();
                QVERIFY2(fault.empty(), qPrintable(QString("seed %1, step %2: %3")
                                                       .arg(seed)
                                                       .arg(step)
                                                       .arg(QString::fromStdString(fault))));
            }
            for (const auto& [what, count] : simulation.seen)
                seen[what] += count;
        }
        for (const char* what :
             {"shared", "several", "type", "ids", "avoid", "overtaken", "taken back"})
            QVERIFY2(seen[what] > 250, qPrintable(QString("%1: %2").arg(what).arg(seen[what])));
    }

    void a_seed_decides_the_same_twice() {
        for (const unsigned seed : {2u, 18u, 4712u}) {
            Simulation first(seed), second(seed);
            for (int step = 0; step < 300; ++step) {
                first.step();
                second.step();
            }
            QVERIFY(first.trace().find('+') != std::string::npos);
            QCOMPARE(first.trace(), second.trace());
        }
    }
};

QTEST_GUILESS_MAIN(UnitPolicyShares)
#include "unit_policy_shares.moc"
