// A job that has been claimed: everything about it that a daemon keeps in memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libspool/attempts.h"
#include "libspool/gpu_slots.h"
#include "libspool/journal.h"
#include "libspool/record_store.h"

namespace spool {

/// What the result needs to say about a job, kept in the record as JSON (`RecordBody::result`).
struct ResultFacts {
    std::string command, profile, environment_source;
    std::int64_t submitted_at = 0;
    std::vector<std::string> notes;
    std::uint64_t retry_of = 0;  ///< 0 = none
    std::vector<std::string>
        secrets;            ///< names of variables that are filled in at the start, never written
    bool cpu_slot = false;  ///< it asked for no GPU
    std::string program;    ///< what is executed: of a script its interpreter
    bool interprets = false;
    QueueWishes wishes{};  ///< in case that it goes back to the queue
    RetryRules rules{};
    AttemptCounts counts{};              ///< of the attempts before this one
    std::vector<PastAttempt> earlier{};  ///< the last of them
    std::string group{};
    std::uint64_t array = 0;  ///< of a task: the number of its array; 0: it is none
    std::optional<std::uint64_t> task{};
    std::uint64_t memory = 0;      ///< of the machine, that it asked for; 0: it did not
    std::uint64_t processors = 0;  ///< the same
};
[[nodiscard]] std::string write_facts(const ResultFacts& facts);
[[nodiscard]] ResultFacts read_facts(std::string_view bytes);

/// Which of the limits that it asked for the kernel does not keep it to, by what its run page says:
/// "--mem=4G", "--cpus=2".
[[nodiscard]] std::vector<std::string> unenforced_limits(const ResultFacts& facts,
                                                         const record::Run& run);

/// What a run page says of GPUs, and what is to be written there: a JSON list of the slots, or an
/// object that names their GPUs too, where these fit.
[[nodiscard]] GrantedGpus run_gpus(const record::Run& run);
[[nodiscard]] std::string write_run_gpus(const GrantedGpus& gpus);

struct ActiveJob {
    std::uint64_t number = 0;
    std::uint32_t attempt = 1;
    std::string name;       ///< unique name
    std::string extension;  ///< with the dot
    std::string file_name;  ///< the name it had in incoming/
    record::Token token{};
    std::uint64_t device = 0, inode = 0;  ///< of the job file
    std::string directory;                ///< where it runs
    ResultFacts facts;
    RecordFile record;

    [[nodiscard]] std::string job_file() const { return name + extension; }
    [[nodiscard]] std::string log_file() const { return name + ".log"; }
    [[nodiscard]] std::string json_file() const { return name + ".json"; }
    /// Whether it is a task of an array: then it has no file of its own (docs/protocol.md §14).
    [[nodiscard]] bool is_task() const { return name.find('/') != std::string::npos; }
    /// What people are shown: "42", "42_7".
    [[nodiscard]] std::string shown_number() const;
};

/// The earlier attempts of a job whose logs have been moved aside (`attempt_log`).
[[nodiscard]] std::vector<std::uint32_t> attempts_with_logs(const ActiveJob& job);

/// An active job as its record describes it (recovery). The record is moved in.
[[nodiscard]] ActiveJob active_job(RecordFile record, const RecordContent& content,
                                   const RecordBody& body);

}  // namespace spool
