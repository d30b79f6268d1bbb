// What is wrong just now, one sentence for each thing; logged when it begins and when it is over.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "log.h"

namespace spoold {

class Troubles {
public:
    /// Sets the sentence for `what`; an empty one means that it is over. True if that changed
    /// anything.
    bool set(const std::string& what, const std::string& sentence) {
        const auto known = sentences_.find(what);
        if (sentence.empty()) {
            if (known == sentences_.end()) return false;
            log_notice("over: " + known->second);
            sentences_.erase(known);
            return true;
        }
        if (known != sentences_.end() && known->second == sentence) return false;
        sentences_[what] = sentence;
        log_warning(sentence);
        return true;
    }

    [[nodiscard]] bool has(const std::string& what) const { return sentences_.contains(what); }
    [[nodiscard]] std::vector<std::string> sentences() const {
        std::vector<std::string> out;
        for (const auto& [what, sentence] : sentences_)
            out.push_back(sentence);
        return out;
    }

private:
    std::map<std::string, std::string> sentences_;
};

}  // namespace spoold
