#include "libspool/done.h"

#include "libspool/names.h"

namespace spool {

Result<std::vector<std::string>> result_names(Spool& spool) {
    const auto entries = spool.files->list(spool.done.get());
    if (!entries) return tl::unexpected(entries.error());
    std::vector<std::string> out;
    for (const DirectoryEntry& entry : *entries)
        if (entry.name.ends_with(".json") && entry.name.front() != '.')
            out.push_back(entry.name.substr(0, entry.name.size() - 5));
    return out;
}

Result<JobResult> read_done(const Spool& spool, const std::string& name) {
    const std::string path = "done/" + printable(name) + ".json";
    auto bytes = read_whole(*spool.files, spool.done.get(), name + ".json");
    if (bytes) return read_result(*bytes, path);
    bytes.error().path = path;
    return tl::unexpected(std::move(bytes.error()));
}

}  // namespace spool
