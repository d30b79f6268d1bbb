// Whether this process may open a GPU: its device files may be withheld from it, by their mode or
// by a device cgroup.
#pragma once

#include <filesystem>
#include <string>

namespace spool::probe {

/// Of the file `stem` + `rest` of `directory` ("nvidia" and "0"). One that is not there is withheld
/// if there are others with this stem and a number; where there are none GPUs have no such files.
[[nodiscard]] bool may_open_node(const std::filesystem::path& directory, const std::string& stem,
                                 const std::string& rest);

/// Of the file `path`, which must be there.
[[nodiscard]] bool may_open(const std::filesystem::path& path);

}  // namespace spool::probe
