// What `spoold` was told on its command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace spoold {

struct Options {
    std::string spool_path;
    std::optional<std::vector<std::string>> gpus;  ///< slots, verbatim; wins over config.json
    bool automatic_gpus = false;  ///< `--gpus auto`: the machine's, whatever config.json says
    std::optional<int> cpu_slots;
    std::string spool_exec;   ///< path of the supervisor's program
    std::string spool_probe;  ///< path of the program that asks the GPUs' drivers
    bool once = false;        ///< start what can be started, publish what has ended, and exit
    bool take_over = false;   ///< of a spool that was another host's
};

}  // namespace spoold
