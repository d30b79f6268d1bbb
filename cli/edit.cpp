// gpuspool edit: changes the file of a waiting job with the user's editor.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "cli/arguments.h"
#include "cli/format.h"
#include "cli/held_file.h"
#include "cli/requests.h"
#include "cli/verbs.h"
#include "libspool/job_file.h"
#include "libspool/names.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

/// A copy of the job's file for the editor, in a directory of its own. Removed, unless it is kept
/// for the user.
class Copy {
public:
    static spool::Result<Copy> make(const std::string& name, const std::string& bytes) {
        std::string directory = (fs::temp_directory_path() / "gpuspool-edit-XXXXXX").string();
        if (::mkdtemp(directory.data()) == nullptr)
            return spool::system_error("make a directory", directory, errno);
        Copy copy(directory, directory + "/" + name);
        std::ofstream file(copy.path_, std::ios::binary);
        if (file << bytes && file.flush()) return copy;
        return spool::system_error("write", copy.path_, errno);
    }
    Copy(Copy&& other) noexcept
        : directory_(std::exchange(other.directory_, {})), path_(std::move(other.path_)) {}
    Copy& operator=(Copy&&) = delete;
    ~Copy() {
        std::error_code ignored;
        if (!directory_.empty()) fs::remove_all(directory_, ignored);
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] spool::Result<std::string> read() const {
        std::ifstream file(path_, std::ios::binary);
        std::string bytes{std::istreambuf_iterator<char>(file), {}};
        if (!file) return spool::system_error("read", path_, errno);
        return bytes;
    }
    void keep() {
        complain("what you wrote is in " + spool::printable(path_));
        directory_.clear();
    }

private:
    Copy(std::string directory, std::string path)
        : directory_(std::move(directory)), path_(std::move(path)) {}

    std::string directory_, path_;
};

/// False, and a complaint, if it could not be run or has failed.
bool run_editor(const std::string& path) {
    std::string editor = "vi";
    for (const char* variable : {"EDITOR", "VISUAL"})
        if (const char* value = std::getenv(variable); value != nullptr && *value != '\0')
            editor = value;
    // As everywhere it is a shell's text with options; the name never is.
    ::setenv("GPUSPOOL_EDITED", path.c_str(), 1);
    std::fflush(nullptr);
    const int status = std::system((editor + " \"$GPUSPOOL_EDITED\"").c_str());
    if (status == 0) return true;
    complain("the editor '" + spool::printable(editor) + "' has failed: set EDITOR");
    return false;
}

bool wants_another_try(const Context& context) {
    if (!context.err.is_terminal || ::isatty(STDIN_FILENO) == 0) return false;
    std::fputs("Edit again? [Y/n] ", stderr);
    std::string answer;
    for (int c = 0; (c = std::getchar()) != EOF && c != '\n';)
        answer += static_cast<char>(c);
    return !std::feof(stdin) && (answer.empty() || answer[0] == 'y' || answer[0] == 'Y');
}

/// What the job's file is to be. `submit` is what the command that submitted it has recorded.
spool::Result<std::string> checked(std::string bytes, const std::string& path,
                                   const std::optional<spool::SubmitInfo>& submit) {
    if (!spool::has_command(bytes))
        return spool::content_error(
            path, {}, "there is no command in it; to withdraw the job: gpuspool cancel");
    const auto spec = spool::read_new_job_file(bytes, path);
    if (!spec) return tl::unexpected(spec.error());
    return submit ? spool::with_submit_info(bytes, *submit) : std::move(bytes);
}

/// Lets the user edit until it is a job; the exit code if he has changed nothing, or gives up.
tl::expected<std::string, ExitCode> edited(const Context& context, Copy& copy,
                                           const std::string& before,
                                           const std::optional<spool::SubmitInfo>& submit) {
    for (;;) {
        const bool ran = run_editor(copy.path());
        auto bytes = copy.read();
        if (ran && bytes && *bytes == before) {
            complain("nothing is changed");
            return tl::unexpected(success);
        }
        if (!ran) {
            if (!bytes || *bytes != before) copy.keep();
            return tl::unexpected(failure);
        }
        if (bytes) bytes = checked(std::move(*bytes), copy.path(), submit);
        if (bytes) return std::move(*bytes);
        (void)report(bytes.error());
        if (wants_another_try(context)) continue;
        copy.keep();
        return tl::unexpected(failure);
    }
}

int edit(Context& context, spool::Spool& spool, const spool::FoundJob& job) {
    const std::string subject = "job " + job_text(job.id, job.name);
    const std::string& name = job.file_name;
    auto held = HeldFile::open(spool, name);
    if (!held) return report(held.error());
    if (!held->is_still_there()) {
        complain(subject + " has just been started");
        return failure;
    }
    const auto spec = spool::read_job_file(held->bytes(), name);
    const auto submit = spec ? spec->submit : std::nullopt;
    const bool is_script = spec && spec->kind == spool::JobSpec::Kind::script;
    const std::string shown = is_script ? spool::executed_script(held->bytes()) : held->bytes();
    auto copy = Copy::make(name, shown);
    if (!copy) return report(copy.error());
    const auto bytes = edited(context, *copy, shown, submit);
    if (!bytes) return bytes.error();
    const auto replaced = held->replace(*bytes);
    if (!replaced || !*replaced) copy->keep();
    if (!replaced) return report(replaced.error());
    if (!*replaced) {
        complain(subject + " does not wait any more, or somebody else has changed its file");
        return failure;
    }
    complain(subject + " is changed");
    return success;
}

int run_edit(Context& context, const std::string& name) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    const auto job = find_numbered(context, **spool, name);
    if (!job) return report_search(job.error());
    if (!job->result() && job->waiting()) return edit(context, **spool, *job);
    complain("job " + job_text(job->id, job->name) +
             (job->result() ? " has ended already: gpuspool retry runs it again"
                            : " does not wait: it has been started"));
    return failure;
}

}  // namespace

void add_edit(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand("edit", "Change a waiting job with $VISUAL or $EDITOR");
    const auto job = std::make_shared<std::string>();
    verb->add_option("job", *job, "Number or name (default: the newest)")->check(not_empty());
    verb->callback(
        [&run, job] { run = [job](Context& context) { return run_edit(context, *job); }; });
}

}  // namespace cli
