// The file of a waiting job, held open for writing: no daemon takes it meanwhile (its lease is
// refused), and nothing has to be tidied up should this process die.
#pragma once

#include <string>

#include "libspool/layout.h"

namespace cli {

class HeldFile {
public:
    /// `name` in incoming/.
    static spool::Result<HeldFile> open(spool::Spool& spool, const std::string& name);

    [[nodiscard]] const std::string& bytes() const { return bytes_; }
    /// Whether the name is still that of this file, as it was: neither taken, nor withdrawn, nor
    /// changed.
    [[nodiscard]] bool is_still_there() const;
    /// Puts a file with `bytes` in its place, durably. False, and nothing is changed, if it is not
    /// there any more.
    [[nodiscard]] spool::Result<bool> replace(const std::string& bytes);

private:
    HeldFile(spool::Spool& spool, std::string name, spool::OpenFile file)
        : spool_(spool), name_(std::move(name)), file_(std::move(file)) {}
    [[nodiscard]] spool::Result<bool> swap_in(const std::string& temporary);

    spool::Spool& spool_;
    std::string name_;
    spool::OpenFile file_;
    spool::FileStat stat_;
    std::string bytes_;
};

}  // namespace cli
