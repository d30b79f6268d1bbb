// Holding off writers while a file is taken.
#pragma once

#include "libspool/files.h"

namespace spool {

/// A read lease for as long as this lives: nobody can have the file open for writing meanwhile.
/// Where the file system has no leases, the settling time alone decides.
class Lease {
public:
    Lease(Files& files, Handle file) : files_(files), file_(file), answer_(files.lease(file)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        if (answer_ == LeaseAnswer::granted) files_.release_lease(file_);
    }
    [[nodiscard]] bool refused() const { return answer_ == LeaseAnswer::refused; }

private:
    Files& files_;
    Handle file_;
    LeaseAnswer answer_;
};

}  // namespace spool
