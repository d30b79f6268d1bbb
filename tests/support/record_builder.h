// A spool with one record in it, as a daemon would leave it to a supervisor, and its pages read
// back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libspool/record.h"

namespace spool::test {

/// What the claim says; the defaults are a plain job.
struct Job {
    /// Empty: bash -eo pipefail and the script's path.
    std::vector<std::string> arguments;
    std::string script;
    std::string directory = "/";
    std::string environment_file;
    std::vector<std::string> environment = {"PATH=/usr/bin:/bin"};
    std::string output, error_output;
    std::string name = "x", extension = ".job";
    std::uint64_t number = 42;
    std::uint32_t attempt = 1;
    std::uint64_t time_limit = 0, grace = 10'000, leftover_grace = 10'000, warn_before = 0;
    std::uint32_t warn_signal = 0, flags = 0;
};

/// A job that runs `script` with bash.
Job script_job(const std::string& script);

record::BootId this_boot();

/// `.spool/records/<number>` in `spool`, whose directories it makes.
class RecordBuilder {
public:
    explicit RecordBuilder(std::string spool, std::uint32_t number = 0);

    /// Writes claim and body with a fresh token. The other pages stay as they are.
    void write(const Job& job);
    /// The claim as it was written last, to be damaged and written again.
    record::Claim claim() const { return claim_; }
    void write_claim(record::Claim claim, bool sealed = true);
    void write_cancel();
    void write_bytes(std::size_t offset, const std::string& bytes);

    const record::Token& token() const { return token_; }
    std::string token_hex() const;
    std::uint32_t number() const { return number_; }
    const std::string& spool() const { return spool_; }
    std::string path() const;
    std::string log() const;

    /// Pages that are valid and have this token.
    std::optional<record::Run> run() const;
    std::optional<record::Exit> exit() const;
    /// The exit page, if its phase is complete.
    std::optional<record::Exit> complete() const;
    /// Whether a supervisor holds the lock.
    bool locked() const;

private:
    std::string spool_;
    std::uint32_t number_;
    record::Token token_{};
    record::Claim claim_{};
    std::string name_;
};

/// The bytes of a file; empty if there is none.
std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

}  // namespace spool::test
