#include "libspool/names.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "libspool/text.h"
#include "libspool/utf8.h"

namespace spool {

namespace {

constexpr std::size_t longest_file_name = 255;
constexpr std::size_t longest_extension = std::string_view(".sbatch").size();

/// What editors and transfer tools put at the end of a name that is not yet, or no longer, the
/// file.
constexpr std::string_view temporary_endings[] = {
    "~",  // backups: vim, emacs, nano, kate; ~N~ too
    ".swp",
    ".swo",
    ".swn",  // vim and nano, with 'directory' or without the dot
    ".swx",
    ".swpx",  // vim
    ".tmp",
    ".temp",  // common
    ".bak",
    ".orig",
    ".rej",       // backups, patch, merges
    ".save",      // nano, when it was killed
    ".part",      // KIO (dolphin), Firefox, wget2, curl scripts
    ".partial",   // rclone, Edge
    ".filepart",  // WinSCP
    ".crdownload",
    ".download",    // Chromium, Safari
    ".opdownload",  // Opera
    ".aria2",
    ".!ut",
    ".!qb",       // download managers
    ".kate-swp",  // kate
    ".lock",
    ".lck",  // locks
    "___jb_tmp___",
    "___jb_old___",  // JetBrains
    ".dropbox",      // Dropbox
};

constexpr std::string_view temporary_beginnings[] = {
    ".",  // every dot-file: vim and nano swaps, emacs locks, rsync, .goutputstream-*, .~lock.,
          // .syncthing.*, .nfs*, .unison.*, KIO and Nextcloud temporaries
    "~syncthing~",  // Syncthing, older versions and Windows
    "~$",           // office programs
    "~rf",          // Windows, seen through network shares
};

/// Copies made when two machines changed one file. Running one would run a job twice.
constexpr std::string_view conflict_marks[] = {".sync-conflict-", "conflicted copy"};

bool is_alphanumeric(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](unsigned char c) { return c < 0x80 && std::isalnum(c); });
}

/// The extension of a job file that `name` ends with, if a stem is left before it.
std::string_view job_extension(std::string_view name) {
    for (const std::string_view extension : job_extensions)
        if (name.size() > extension.size() && name.ends_with(extension)) return extension;
    return {};
}

/// vim tries whether it may write with files named 4913, 5036, 5159 … (steps of 123).
bool is_vim_probe(std::string_view name) {
    if (name.size() < 4 || name.size() > 5) return false;
    int value = 0;
    for (const char c : name) {
        if (c < '0' || c > '9') return false;
        value = value * 10 + (c - '0');
    }
    return name.front() != '0' && value >= 4913 && (value - 4913) % 123 == 0;
}

/// `sed -i` writes sedXXXXXX; QSaveFile and GLib write x.job.XXXXXX.
bool is_random_name(std::string_view name) {
    constexpr std::size_t random = 6;
    if (name.size() == 3 + random && name.starts_with("sed"))
        return is_alphanumeric(name.substr(3));
    if (name.size() < random + 2 || !is_alphanumeric(name.substr(name.size() - random)))
        return false;
    const std::string_view rest = name.substr(0, name.size() - random);
    return rest.back() == '.' && !job_extension(rest.substr(0, rest.size() - 1)).empty();
}

/// nano numbers what it rescues: x.job.save, x.job.save.1, …
bool is_numbered_save(std::string_view name) {
    const std::size_t at = name.rfind(".save.");
    if (at == std::string_view::npos) return false;
    const std::string_view number = name.substr(at + 6);
    return !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_temporary(std::string_view name) {
    const std::string folded = lower_case(name);
    const auto begins = [&](std::string_view text) { return folded.starts_with(text); };
    const auto ends = [&](std::string_view text) { return folded.ends_with(text); };
    if (std::any_of(std::begin(temporary_beginnings), std::end(temporary_beginnings), begins))
        return true;
    if (std::any_of(std::begin(temporary_endings), std::end(temporary_endings), ends)) return true;
    if (name.size() > 1 && name.front() == '#' && name.back() == '#') return true;
    return is_vim_probe(name) || is_random_name(name) || is_numbered_save(folded);
}

bool is_conflict_copy(std::string_view name) {
    const std::string folded = lower_case(name);
    return std::any_of(
        std::begin(conflict_marks), std::end(conflict_marks),
        [&](std::string_view mark) { return folded.find(mark) != std::string::npos; });
}

/// Characters that a terminal obeys, or that reorder or break a line.
bool is_harmful(char32_t code) {
    if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return true;
    if (code == 0x061C || code == 0x200E || code == 0x200F) return true;
    return (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

}  // namespace

NameClass classify_name(std::string_view file_name) {
    if (file_name.empty() || is_temporary(file_name)) return NameClass::temporary;
    if (job_extension(file_name).empty() || is_conflict_copy(file_name)) return NameClass::other;
    return NameClass::job;
}

std::string why_ignored(std::string_view file_name) {
    if (is_conflict_copy(file_name))
        return "a copy made because two machines changed one file: rename it to run it";
    return "its name does not end in .job, .sh, .sbatch or .slurm";
}

std::optional<JobName> split_job_name(std::string_view file_name) {
    if (classify_name(file_name) != NameClass::job) return std::nullopt;
    const std::string_view extension = job_extension(file_name);
    const std::string_view stem = file_name.substr(0, file_name.size() - extension.size());
    return JobName{std::string(stem), std::string(extension)};
}

std::vector<std::string> editor_marks(std::string_view file_name) {
    const std::string name(file_name);
    return {"." + name + ".swp",       // vim; nano with `set locking`
            "." + name + ".kate-swp",  // kate
            ".#" + name,               // emacs
            ".~lock." + name + "#"};   // LibreOffice
}

std::string candidate_name(std::string_view stem, int n) {
    const std::string suffix = n > 1 ? "~" + std::to_string(n) : "";
    return std::string(cut_utf8(stem, longest_file_name - longest_extension - suffix.size())) +
           suffix;
}

std::string plain_name(const std::string& name) {
    const auto tilde = name.rfind('~');
    if (tilde == name.npos || tilde == 0 || tilde + 1 == name.size()) return name;
    const bool digits = name.find_first_not_of("0123456789", tilde + 1) == name.npos;
    return digits ? name.substr(0, tilde) : name;
}

std::string unique_name(std::string_view stem,
                        const std::function<bool(const std::string&)>& taken) {
    for (int n = 1;; ++n) {
        std::string candidate = candidate_name(stem, n);
        if (!taken(candidate)) return candidate;
    }
}

std::string printable(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        const Utf8Character character = first_character(bytes);
        const std::string_view text = bytes.substr(0, character.length);
        if (character.valid && !is_harmful(character.code))
            out += text;
        else
            for (const char byte : text)
                out += hex_escape(byte);
        bytes.remove_prefix(character.length);
    }
    return out;
}

std::string to_json_text(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        const Utf8Character character = first_character(bytes);
        if (!character.valid)
            out += hex_escape(bytes.front());
        else if (character.code == U'\\')
            out += "\\\\";
        else
            out += bytes.substr(0, character.length);
        bytes.remove_prefix(character.length);
    }
    return out;
}

std::string from_json_text(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::string_view rest = text.substr(i);
        if (rest.starts_with("\\\\")) {
            out += '\\';
            i += 1;
        } else if (rest.size() >= 4 && rest.starts_with("\\x") && hex_value(rest[2]) >= 0 &&
                   hex_value(rest[3]) >= 0) {
            out += static_cast<char>(hex_value(rest[2]) * 16 + hex_value(rest[3]));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

}  // namespace spool
