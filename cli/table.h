// Aligned columns of text.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace cli {

struct Column {
    std::string title;
    bool right = false;    ///< numbers
    bool elastic = false;  ///< gives way where the terminal is too narrow
};

struct Cell {
    std::string text;
    Style style = Style::plain;
};

class Table {
public:
    explicit Table(std::vector<Column> columns, int indent = 0);
    /// One cell for each column.
    void add(std::vector<Cell> row);
    [[nodiscard]] bool empty() const { return rows_.empty(); }
    /// Lines with their line feeds. On a terminal, elastic columns are shortened to its width, and
    /// where that is not enough the last ones are cut or left out; elsewhere nothing is cut.
    [[nodiscard]] std::string render(const Terminal& terminal) const;

private:
    [[nodiscard]] std::vector<int> widths(const Terminal& terminal) const;

    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
    int indent_;
};

}  // namespace cli
