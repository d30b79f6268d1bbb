#include "libspool/slot_choice.h"

#include <algorithm>

namespace spool {
namespace {

/// Depth first through all combinations, cut off where a better one is known.
class Search {
public:
    Search(const std::vector<SlotCandidate>& candidates, std::size_t wanted,
           const std::optional<GpuLimit>& limit)
        : candidates_(candidates), limit_(limit), wanted_(wanted) {
        for (const SlotCandidate& candidate : candidates)
            largest_ = std::max(largest_, candidate.devices.size());
    }

    std::optional<std::vector<std::size_t>> run() {
        if (wanted_ > 0 && largest_ > 0) extend(0);
        if (best_.empty()) return std::nullopt;
        std::sort(best_.begin(), best_.end());
        return best_;
    }

private:
    static constexpr int most_steps = 20'000;

    void extend(std::size_t from) {
        if (devices_.size() >= wanted_) return consider();
        if (hopeless() || ++steps_ > most_steps) return;
        for (std::size_t i = from; i < candidates_.size(); ++i) {
            const SlotCandidate& candidate = candidates_[i];
            if (candidate.devices.empty() || overlaps(candidate)) continue;
            const std::size_t before = devices_.size();
            devices_.insert(devices_.end(), candidate.devices.begin(), candidate.devices.end());
            chosen_.push_back(candidate.slot);
            if (!limit_ || limit_->allows(devices_)) extend(i + 1);
            chosen_.pop_back();
            devices_.resize(before);
        }
    }

    /// Earlier combinations consist of earlier candidates: only a better one replaces them.
    void consider() {
        const std::size_t surplus = devices_.size() - wanted_;
        const bool better = best_.empty() || surplus < best_surplus_ ||
                            (surplus == best_surplus_ && chosen_.size() < best_.size());
        if (!better) return;
        best_ = chosen_;
        best_surplus_ = surplus;
    }

    /// Whether nothing that begins like this can be better than what is known.
    [[nodiscard]] bool hopeless() const {
        if (best_.empty() || best_surplus_ > 0) return false;
        const std::size_t missing = wanted_ - devices_.size();
        return chosen_.size() + (missing + largest_ - 1) / largest_ >= best_.size();
    }

    [[nodiscard]] bool overlaps(const SlotCandidate& candidate) const {
        return std::any_of(
            candidate.devices.begin(), candidate.devices.end(), [&](const auto& device) {
                return std::find(devices_.begin(), devices_.end(), device) != devices_.end();
            });
    }

    const std::vector<SlotCandidate>& candidates_;
    const std::optional<GpuLimit>& limit_;
    std::size_t wanted_, largest_ = 0, best_surplus_ = 0;
    int steps_ = 0;
    std::vector<std::string> devices_;
    std::vector<std::size_t> chosen_, best_;
};

}  // namespace

bool GpuLimit::allows(const std::vector<std::string>& more) const {
    std::set<std::string> all = held;
    all.insert(more.begin(), more.end());
    return all.size() <= most;
}

std::optional<std::vector<std::size_t>> choose_slots(const std::vector<SlotCandidate>& candidates,
                                                     std::size_t wanted,
                                                     const std::optional<GpuLimit>& limit) {
    return Search(candidates, wanted, limit).run();
}

}  // namespace spool
