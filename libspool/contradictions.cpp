#include "libspool/contradictions.h"

#include <algorithm>
#include <set>

namespace spool {
namespace {

std::optional<std::string> of_no_gpus(const JobSpec& spec) {
    if (spec.gpus != 0) return std::nullopt;
    const char* wish = nullptr;
    if (spec.gpu_memory) wish = "--gpu-mem";
    if (!spec.gpu_type.empty()) wish = "--gpu-type";
    if (!spec.gpu_ids.empty()) wish = "--gpu-ids";
    if (wish == nullptr) return std::nullopt;
    return "--gpus=0 asks for no GPU, and " + std::string(wish) +
           " for a certain one: leave one out";
}

std::optional<std::string> of_gpu_ids(const JobSpec& spec) {
    const std::set<std::string> ids(spec.gpu_ids.begin(), spec.gpu_ids.end());
    if (ids.empty()) return std::nullopt;
    if (spec.gpus && static_cast<std::size_t>(*spec.gpus) > ids.size())
        return "--gpus=" + std::to_string(*spec.gpus) + " asks for more GPUs than --gpu-ids names";
    const bool all_avoided = std::all_of(ids.begin(), ids.end(), [&](const std::string& id) {
        const auto& avoided = spec.gpu_avoid;
        return std::find(avoided.begin(), avoided.end(), id) != avoided.end();
    });
    if (all_avoided) return "--gpu-avoid names all GPUs of --gpu-ids: none is left";
    return std::nullopt;
}

std::optional<std::string> of_retries(const JobSpec& spec) {
    if (spec.rules.retry_on.empty() || spec.rules.retries > 0) return std::nullopt;
    return "--retry-on says after which exit codes, but not how often: add --retries=N";
}

std::optional<std::string> of_canary(const JobSpec& spec) {
    if (!spec.canary || !spec.group.empty() || !spec.array.tasks.empty()) return std::nullopt;
    return "--canary lets the first of several jobs run alone: say of which with --array=… or "
           "--group=NAME";
}

}  // namespace

std::optional<std::string> contradiction(const JobSpec& spec) {
    for (const auto find : {of_no_gpus, of_gpu_ids, of_retries, of_canary})
        if (auto found = find(spec)) return found;
    return std::nullopt;
}

void ContradictionWatch::note(const JobSpec& spec, int line) {
    if (!contradiction(spec))
        line_.reset();
    else if (!line_)
        line_ = line;
}

Result<void> ContradictionWatch::verdict(const JobSpec& spec, const std::string& path) const {
    const auto found = contradiction(spec);
    if (found) return content_error(path, line_, *found);
    return {};
}

}  // namespace spool
