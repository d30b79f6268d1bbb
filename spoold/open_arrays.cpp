#include "open_arrays.h"

#include <algorithm>

namespace spoold {

using namespace std::chrono_literals;

std::string title(const OpenArray& array) {
    return "array " + std::to_string(array.record.number) + " (" + array.record.name + ")";
}

std::string counted_tasks(std::size_t count) {
    return std::to_string(count) + (count == 1 ? " task" : " tasks");
}

OpenArray& OpenArrays::add(OpenArray array) {
    const std::uint64_t number = array.record.number;
    by_first_[array.record.first] = number;
    names_.insert(array.record.name);
    return arrays_.emplace(number, std::move(array)).first->second;
}

void OpenArrays::erase(std::uint64_t number) {
    const auto found = arrays_.find(number);
    if (found == arrays_.end()) return;
    by_first_.erase(found->second.record.first);
    names_.erase(found->second.record.name);
    arrays_.erase(found);
}

const OpenArray* OpenArrays::find(std::uint64_t number) const {
    const auto found = arrays_.find(number);
    return found == arrays_.end() ? nullptr : &found->second;
}

OpenArray* OpenArrays::find(std::uint64_t number) {
    return const_cast<OpenArray*>(std::as_const(*this).find(number));
}

const OpenArray* OpenArrays::of_task(std::uint64_t task) const {
    const auto after = by_first_.upper_bound(task);
    if (after == by_first_.begin()) return nullptr;
    const OpenArray* array = find(std::prev(after)->second);
    return array != nullptr && array->record.has(task) ? array : nullptr;
}

OpenArray* OpenArrays::of_task(std::uint64_t task) {
    return const_cast<OpenArray*>(std::as_const(*this).of_task(task));
}

bool OpenArrays::has_inode(std::uint64_t device, std::uint64_t inode) const {
    return std::any_of(arrays_.begin(), arrays_.end(), [&](const auto& entry) {
        const OpenArray& array = entry.second;
        return array.record.inode == inode && array.record.device == device && !array.returning &&
               !array.published;
    });
}

bool OpenArrays::holds_file(const std::string& name) const {
    return std::any_of(arrays_.begin(), arrays_.end(), [&](const auto& entry) {
        return entry.second.record.job_file_name() == name && !entry.second.published;
    });
}

bool OpenArrays::misses_file() const {
    return std::any_of(arrays_.begin(), arrays_.end(),
                       [](const auto& entry) { return entry.second.missing_since.has_value(); });
}

std::optional<std::chrono::nanoseconds> OpenArrays::next_look() const {
    std::optional<std::chrono::nanoseconds> next;
    for (const auto& [number, array] : arrays_)
        for (const auto& time :
             {array.next_try, array.next_cancel,
              array.missing_since ? std::optional(*array.missing_since + 1s) : std::nullopt})
            if (time && (!next || *time < *next)) next = time;
    return next;
}

}  // namespace spoold
