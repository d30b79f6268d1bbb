// What an operation of libspool must expect to go wrong, as a value.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace spool {

/// One failure, complete enough to be shown to the user as it is.
struct Error {
    std::string operation;    ///< what was being done: "open", "parse config.json"
    std::string path;         ///< the file concerned, as the user knows it; may be empty
    std::string message;      ///< what is wrong and, where there is one, the remedy
    int code = 0;             ///< errno of a failed system call, else 0
    std::optional<int> line;  ///< 1-based line in `path`, for content errors

    /// "path:line: operation: message", leaving out what is not there.
    [[nodiscard]] std::string text() const;
};

template <typename T>
using Result = tl::expected<T, Error>;

/// The error of a system call that has just failed with `code`.
[[nodiscard]] inline tl::unexpected<Error> system_error(std::string operation, std::string path,
                                                        int code) {
    return tl::unexpected(
        Error{std::move(operation), std::move(path), std::strerror(code), code, std::nullopt});
}

/// An error of content: of line `line` (1-based) where that is known.
[[nodiscard]] inline tl::unexpected<Error> content_error(std::string path, std::optional<int> line,
                                                         std::string message) {
    return tl::unexpected(Error{{}, std::move(path), std::move(message), 0, line});
}

}  // namespace spool
