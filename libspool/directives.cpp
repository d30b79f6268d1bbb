#include "libspool/directives.h"

#include "libspool/names.h"
#include "libspool/sbatch_options.h"
#include "libspool/settings.h"

namespace spool {

namespace {

constexpr std::string_view blanks = " \t\r\v\f";
constexpr std::string_view spool_marker = "#SPOOL", sbatch_marker = "#SBATCH";

struct Line {
    int number;
    std::vector<std::string> words;
};

/// The directive lines of a script, by kind, as words.
struct DirectiveLines {
    std::vector<Line> spool, sbatch;
};

std::string quoted(std::string_view text) {
    return "'" + printable(text.substr(0, 100)) + "'";
}

std::string line_note(int line, const std::string& text) {
    return "line " + std::to_string(line) + ": " + text;
}

std::string_view without_indent(std::string_view line) {
    const std::size_t start = line.find_first_not_of(blanks);
    return start == line.npos ? std::string_view{} : line.substr(start);
}

/// A key that is run together with the marker would silently be a comment.
bool is_joined_directive(std::string_view line) {
    return line.starts_with("#SPOOL-") && !line.starts_with("#SPOOL-SUBMIT");
}

Result<void> collect(std::string_view text, int number, const std::string& path,
                     std::vector<Line>& out) {
    Line line{number, {}};
    if (!split_words(text, line.words))
        return content_error(path, number, "a quote is not closed in this line");
    out.push_back(std::move(line));
    return {};
}

/// A line before the first command.
Result<void> collect_leading(std::string_view line, int number, const std::string& path,
                             DirectiveLines& out) {
    const std::string_view comment = without_indent(line);
    if (is_joined_directive(comment))
        return content_error(path, number, "write a blank after #SPOOL: #SPOOL --key=value");
    if (const auto text = directive_text(comment, spool_marker))
        return collect(*text, number, path, out.spool);
    if (const auto text = directive_text(line, sbatch_marker))
        return collect(*text, number, path, out.sbatch);
    return {};
}

/// A line after the first command.
Result<void> check_late(std::string_view line, int number, const std::string& path,
                        std::vector<std::string>& notes) {
    if (directive_text(line, spool_marker) || is_joined_directive(line))
        return content_error(path, number,
                             "a #SPOOL line after the first command has no effect: "
                             "move it above the first command");
    if (directive_text(line, sbatch_marker))
        notes.push_back(line_note(
            number, "an #SBATCH line after the first command is ignored, as Slurm ignores it"));
    return {};
}

Result<void> apply_spool(std::string_view key, std::string_view value, int line,
                         const std::string& path, JobSpec& spec) {
    const Setting* setting = find_setting(key);
    if (!setting)
        return content_error(path, line,
                             "unknown key " + quoted(key) + suggestion(key, setting_names(), "--"));
    if (value.find('\0') != value.npos || !setting->apply(spec, value))
        return content_error(path, line, bad_value(*setting, "--" + std::string(key), value));
    return {};
}

Result<void> apply_spool_line(const Line& line, const std::string& path, JobSpec& spec) {
    for (std::size_t i = 0; i < line.words.size(); ++i) {
        const std::string_view word = line.words[i];
        if (!word.starts_with("--") || word.size() == 2)
            return content_error(
                path, line.number,
                "expected --key=value, found " + quoted(word) +
                    suggestion(word.substr(0, word.find('=')), setting_names(), "--"));
        const std::size_t equals = word.find('=');
        const std::string_view key = word.substr(2, equals == word.npos ? equals : equals - 2);
        std::string_view value;
        if (equals != word.npos) {
            value = word.substr(equals + 1);
        } else if (const Setting* setting = find_setting(key); setting != nullptr) {
            const bool alone = i + 1 == line.words.size() || line.words[i + 1].starts_with("--");
            if (alone && !setting->flag)
                return content_error(path, line.number,
                                     "--" + std::string(key) + " needs a value: expected " +
                                         std::string(setting->accepted));
            value = alone ? std::string_view("yes") : std::string_view(line.words[++i]);
        }
        if (auto applied = apply_spool(key, value, line.number, path, spec); !applied)
            return applied;
    }
    return {};
}

/// The result has room for what a person reads.
void bound_notes(std::vector<std::string>& notes) {
    constexpr std::size_t most = 50;
    if (notes.size() <= most) return;
    const std::size_t more = notes.size() - most;
    notes.resize(most);
    notes.push_back("and " + std::to_string(more) + " more remarks");
}

/// The words of one #SBATCH line, read as getopt_long reads them.
class SbatchLine {
public:
    SbatchLine(const Line& line, const std::string& path, JobSpec& spec)
        : line_(line), path_(path), spec_(spec) {}

    Result<void> apply() {
        while (next_ < line_.words.size()) {
            const std::string_view word = line_.words[next_++];
            Result<void> done;
            if (word.starts_with("--") && word.size() > 2)
                done = apply_long(word.substr(2));
            else if (word.starts_with('-') && word.size() > 1)
                done = apply_short(word.substr(1));
            else
                note(quoted(word) + " is not understood and ignored");
            if (!done) return done;
        }
        return {};
    }

private:
    using Takes = SbatchOption::Takes;

    void note(const std::string& text) { spec_.notes.push_back(line_note(line_.number, text)); }

    bool take_value(std::string_view& value) {
        if (next_ == line_.words.size()) return false;
        value = line_.words[next_++];
        return true;
    }

    Result<void> apply_long(std::string_view word) {
        const std::size_t equals = word.find('=');
        const std::string_view name = word.substr(0, equals);
        const SbatchOption* option = find_sbatch_option(name);
        if (!option) return skip_unknown("--" + std::string(name), equals != word.npos);
        std::string_view value;
        if (equals != word.npos)
            value = word.substr(equals + 1);
        else if (option->takes == Takes::value && !take_value(value))
            return missing_value(*option);
        return use(*option, value);
    }

    Result<void> apply_short(std::string_view letters) {
        while (!letters.empty()) {
            const char letter = letters.front();
            letters.remove_prefix(1);
            const SbatchOption* option = find_sbatch_option(letter);
            if (!option) return skip_unknown({'-', letter}, !letters.empty());
            std::string_view value;
            if (option->takes == Takes::value) {
                value = letters;
                letters = {};
                if (value.starts_with('=')) value.remove_prefix(1);
                if (value.empty() && !take_value(value)) return missing_value(*option);
            }
            if (auto used = use(*option, value); !used) return used;
        }
        return {};
    }

    Result<void> use(const SbatchOption& option, std::string_view value) {
        const SbatchEffect effect = apply_sbatch_option(option, value, spec_);
        if (effect.problem) return content_error(path_, line_.number, *effect.problem);
        if (effect.note) note(*effect.note);
        return {};
    }

    Result<void> missing_value(const SbatchOption& option) {
        return content_error(path_, line_.number,
                             "--" + std::string(option.name) + " needs a value");
    }

    /// What follows an unknown option and is no option itself is taken for its value.
    Result<void> skip_unknown(const std::string& shown, bool has_value) {
        note("unknown option " + quoted(shown) + " is ignored");
        if (!has_value && next_ < line_.words.size() && !line_.words[next_].starts_with('-'))
            ++next_;
        return {};
    }

    const Line& line_;
    const std::string& path_;
    JobSpec& spec_;
    std::size_t next_ = 0;
};

}  // namespace

std::vector<std::string_view> split_lines(std::string_view text) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        out.push_back(text.substr(0, end));
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    return out;
}

bool is_idle_line(std::string_view line) {
    const std::size_t start = line.find_first_not_of(blanks);
    return start == line.npos || line[start] == '#';
}

std::optional<std::string_view> directive_text(std::string_view line, std::string_view marker) {
    if (!line.starts_with(marker)) return std::nullopt;
    line.remove_prefix(marker.size());
    if (!line.empty() && line.front() != ' ' && line.front() != '\t') return std::nullopt;
    return line;
}

Result<void> read_directives(std::string_view script, const std::string& path,
                             Contradictions contradictions, JobSpec& spec) {
    DirectiveLines lines;
    std::vector<std::string> late_notes;
    bool leading = true;
    int number = 0;
    for (const std::string_view line : split_lines(script)) {
        ++number;
        leading = leading && is_idle_line(line);
        auto read = leading ? collect_leading(line, number, path, lines)
                            : check_late(line, number, path, late_notes);
        if (!read) return read;
        if (line.starts_with("#SPOOL-SUBMIT"))
            late_notes.push_back(
                line_note(number, "#SPOOL-SUBMIT counts only as the last line, and is ignored"));
    }
    ContradictionWatch watch;
    for (const Line& line : lines.sbatch) {
        if (auto applied = SbatchLine(line, path, spec).apply(); !applied) return applied;
        watch.note(spec, line.number);
    }
    for (const Line& line : lines.spool) {
        if (auto applied = apply_spool_line(line, path, spec); !applied) return applied;
        watch.note(spec, line.number);
    }
    spec.notes.insert(spec.notes.end(), late_notes.begin(), late_notes.end());
    bound_notes(spec.notes);
    if (contradictions == Contradictions::allowed) return {};
    return watch.verdict(spec, path);
}

}  // namespace spool
