// What a user does before the power goes, one life of a daemon, and what the disk must say in the
// end.
#pragma once

#include "libspool/array_steps.h"
#include "libspool/done.h"
#include "libspool/submit.h"
#include "libspool/system.h"
#include "tests/power_cut_daemon.h"

namespace test {

inline void drop(MemoryFiles& files, const std::string& name, const std::string& text,
                 Truth& truth) {
    spool::Spool spool = open_spool_in_memory(files);
    auto file =
        spool::open_file(files, spool.incoming.get(), name, spool::OpenMode::create_exclusive);
    if (file) (void)files.write(file->get(), 0, text);
    truth.dropped.push_back(name);
}

/// `gpuspool submit`: once it has returned, the job must not be lost.
inline void submit_job(MemoryFiles& files, const TestClock& clock, const std::string& stem,
                       Truth& truth) {
    spool::Spool spool = open_spool_in_memory(files);
    spool::Submission submission;
    submission.bytes = "true\n";
    submission.stem = stem;
    if (const auto submitted = spool::submit(spool, submission, clock); submitted) {
        truth.dropped.push_back(submitted->file_name);
        truth.shown.emplace(submitted->number, submitted->file_name);
    }
}

inline std::vector<spool::JobResult> results_in(spool::Spool& spool, Truth& truth) {
    std::vector<spool::JobResult> results;
    const auto entries = spool.files->list(spool.done.get());
    if (!entries) return results;
    for (const auto& entry : *entries) {
        if (!entry.name.ends_with(".json")) continue;
        const auto bytes = spool::read_whole(*spool.files, spool.done.get(), entry.name);
        const auto result = bytes.and_then(
            [&](const std::string& text) { return spool::read_result(text, entry.name); });
        if (result)
            results.push_back(*result);
        else
            truth.wrong.push_back("done/" + entry.name + " is damaged");
    }
    return results;
}

/// Each task has one end, and numbers that nobody else has.
inline void check_tasks(spool::Spool& spool, const spool::JobResult& array, Truth& truth,
                        std::map<std::uint64_t, std::string>& numbers) {
    std::uint64_t ended = 0;
    for (const auto& [outcome, text] : array.tasks->by_outcome)
        for (const std::uint32_t task : spool::parse_tasks(text).value_or(spool::TaskList())) {
            ++ended;
            const std::string called = task_called(dropped_name(array.file), task);
            const bool ran_well = truth.executed[called] == 1 && truth.finished.contains(called);
            if (outcome == spool::Outcome::succeeded && !ran_well)
                truth.wrong.push_back(called + " succeeded without having run to its end");
            const auto result = spool::read_done(spool, spool::task_name(array.name, task));
            if (!result || result->state != outcome)
                truth.wrong.push_back(called + " has not the result that its array names, but " +
                                      (result ? std::string(spool::outcome_name(result->state))
                                              : result.error().text()));
        }
    if (ended != array.tasks->count)
        truth.wrong.push_back(array.file + " has another number of tasks");
    for (std::uint64_t task = 0; task < array.tasks->count; ++task)
        if (!numbers.emplace(array.tasks->first_number + task, array.file).second)
            truth.wrong.push_back("the number of a task is another job's too");
}

/// What becomes of a job that nothing is done to.
inline spool::Outcome true_outcome(const std::string& file) {
    if (file.starts_with("failing")) return spool::Outcome::failed;
    if (file.starts_with("invalid")) return spool::Outcome::rejected;
    return spool::Outcome::succeeded;
}

/// A result is the truth, or what a cut or a kill in the middle of the job permits and no more.
inline void check_outcome(const spool::JobResult& result, const std::string& attempt,
                          Truth& truth) {
    const std::string file = dropped_name(result.file);
    const bool is_true =
        result.state == true_outcome(file) && (!file.starts_with("retried") || result.attempt == 2);
    const bool permitted =
        (result.state == spool::Outcome::interrupted && truth.cut_off.contains(file)) ||
        (result.state == spool::Outcome::lost && truth.killed.contains(file) &&
         truth.begun.contains(attempt));
    const auto told = truth.told.find(result.id);
    // What is not known stays so, whichever way it was lost.
    const bool as_told =
        told == truth.told.end() || told->second == result.state ||
        (told->second == spool::Outcome::lost && result.state == spool::Outcome::interrupted);
    if ((is_true || permitted) && as_told) return;
    truth.wrong.push_back(file + " is " + std::string(spool::outcome_name(result.state)) +
                          " at attempt " + std::to_string(result.attempt) + ": " +
                          result.reason.value_or("no reason") +
                          (as_told ? "" : "; and something else was told before"));
}

/// Of a directory in running/.
inline std::string contents(spool::Spool& spool, const std::string& name) {
    auto directory =
        spool::open_file(*spool.files, spool.running.get(), name, spool::OpenMode::directory);
    if (!directory) return {};
    std::string text = " with";
    const auto entries = spool.files->list(directory->get());
    for (const auto& entry : entries.value_or(std::vector<spool::DirectoryEntry>{}))
        text += " " + entry.name;
    return text;
}

/// All jobs have ended: what does the disk say of them?
inline void check(MemoryFiles& files, Truth& truth) {
    spool::Spool spool = open_spool_in_memory(files);
    const auto results = results_in(spool, truth);
    std::map<std::string, int> places;
    std::map<std::string, std::string> said;
    std::map<std::uint64_t, std::string> numbers;
    for (const auto& result : results) {
        const std::string file = dropped_name(result.file);
        ++places[file];
        said[file] += result.name + " " + std::to_string(result.id) + " " +
                      std::string(spool::outcome_name(result.state)) + " " +
                      result.reason.value_or("") + "; ";
        if (const auto [known, fresh] = numbers.emplace(result.id, file); !fresh)
            truth.wrong.push_back("number " + std::to_string(result.id) + " is of " +
                                  known->second + " and of " + file);
        if (const auto shown = truth.shown.find(result.id);
            shown != truth.shown.end() && shown->second != result.file)
            truth.wrong.push_back("a number shown for " + shown->second + " is of " + result.file);
        if (result.tasks) {
            check_tasks(spool, result, truth, numbers);
            continue;
        }
        const std::string attempt = attempt_name(file, static_cast<std::uint32_t>(result.attempt));
        const auto executed = truth.executed.find(attempt);
        const int executions = executed == truth.executed.end() ? 0 : executed->second;
        const bool ran_well = executions == 1 && truth.finished.contains(attempt);
        if (result.state == spool::Outcome::succeeded && !ran_well)
            truth.wrong.push_back(result.file + " succeeded without having run to its end");
        check_outcome(result, attempt, truth);
    }
    for (const auto& [name, count] : truth.executed)
        if (count > 1)
            truth.wrong.push_back(name + " was executed " + std::to_string(count) + " times");
    for (const std::string& name : truth.dropped)
        if (places[name] != 1)
            truth.wrong.push_back(name + " has " + std::to_string(places[name]) +
                                  " results: " + said[name]);
    const auto left = files.list(spool.running.get());
    for (const auto& entry : left.value_or(std::vector<spool::DirectoryEntry>{}))
        truth.wrong.push_back("left behind: running/" + entry.name + contents(spool, entry.name));
}

/// One life of a daemon, until its end or that of the machine.
inline void live(MemoryFiles& files, TestClock& clock, std::uint8_t boot, Truth& truth,
                 const std::string& submitted = {}) {
    PowerCutDaemon daemon(files, clock, boot, truth);
    if (const auto started = daemon.start(); !started) {
        if (!files.is_off()) truth.wrong.push_back("does not start: " + started.error().text());
        return;
    }
    if (!submitted.empty()) submit_job(files, clock, submitted, truth);
    if (!daemon.work()) truth.wrong.push_back("not settled: " + daemon.left());
}

}  // namespace test
