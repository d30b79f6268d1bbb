// A JSON object with lists that grows no larger than it may become.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

namespace spool {

class BoundedJson {
public:
    using Json = nlohmann::ordered_json;

    /// `frame` has the lists, which are empty so far.
    BoundedJson(Json frame, std::size_t limit) : json_(std::move(frame)) {
        const std::size_t used = json_.dump().size() + 1;
        left_ = limit > used ? limit - used : 0;
    }

    /// Bytes that a list may have if `kept` of them are to be left for others.
    [[nodiscard]] std::size_t room(std::size_t kept) const { return left_ - std::min(kept, left_); }

    /// Appends the first elements of `list` that fit, at most `most`, to the one called `key`.
    template <typename List, typename ToJson>
    void add(const char* key, const List& list, std::size_t most, std::size_t kept,
             ToJson to_json) {
        Json& out = json_[key];
        for (std::size_t i = 0; i < list.size() && i < most; ++i) {
            Json element = to_json(list[i]);
            const std::size_t size = element.dump().size() + 1;
            if (size > room(kept)) return;
            left_ -= size;
            out.push_back(std::move(element));
        }
    }

    [[nodiscard]] std::string text() const { return json_.dump() + "\n"; }

private:
    Json json_;
    std::size_t left_ = 0;
};

}  // namespace spool
