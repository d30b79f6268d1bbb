#include "libspool/terms.h"

#include "libspool/schedule_text.h"

namespace spool {

Terms terms_of(const JobSpec& spec, std::int64_t submitted_at) {
    Terms terms;
    terms.priority = spec.priority;
    terms.need = need_of(spec);
    if (spec.time_limit && spec.time_limit->count() > 0) terms.time_limit = *spec.time_limit;
    terms.group = spec.group;
    terms.group_limit = spec.group_limit;
    terms.held = spec.held;
    if (const auto tasks = parse_tasks(spec.array.tasks)) terms.tasks = tasks->size();
    terms.array_limit = spec.array.limit;
    terms.canary = spec.canary;
    if (!spec.begin.empty()) terms.begin = parse_begin(spec.begin, submitted_at).value_or(0);
    return terms;
}

}  // namespace spool
