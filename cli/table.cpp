#include "cli/table.h"

#include <algorithm>

namespace cli {
namespace {

constexpr int gap = 2, narrowest = 8, fewest = 4;

void trim_right(std::string& line) {
    while (!line.empty() && line.back() == ' ')
        line.pop_back();
}

}  // namespace

Table::Table(std::vector<Column> columns, int indent)
    : columns_(std::move(columns)), indent_(indent) {}

void Table::add(std::vector<Cell> row) {
    row.resize(columns_.size());
    rows_.push_back(std::move(row));
}

std::vector<int> Table::widths(const Terminal& terminal) const {
    std::vector<int> out;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        int width = display_width(columns_[i].title);
        for (const auto& row : rows_)
            width = std::max(width, display_width(row[i].text));
        out.push_back(width);
    }
    if (terminal.width <= 0) return out;
    int excess = indent_ - terminal.width + gap * (static_cast<int>(out.size()) - 1);
    for (const int width : out)
        excess += width;
    for (std::size_t i = columns_.size(); i-- > 0 && excess > 0;) {
        if (!columns_[i].elastic) continue;
        const int given = std::clamp(out[i] - narrowest, 0, excess);
        out[i] -= given;
        excess -= given;
    }
    // Where that is not enough, what stands last is cut, and left out where too little would
    // remain.
    for (std::size_t i = out.size(); i-- > 1 && excess > 0;) {
        if (out[i] - excess >= fewest) {
            out[i] -= excess;
            break;
        }
        excess -= out[i] + gap;
        out[i] = 0;
    }
    return out;
}

std::string Table::render(const Terminal& terminal) const {
    const std::vector<int> width = widths(terminal);
    const auto line_of = [&](const std::vector<Cell>& cells) {
        std::string line(static_cast<std::size_t>(indent_), ' ');
        for (std::size_t i = 0; i < cells.size(); ++i) {
            if (width[i] == 0) continue;
            const std::string text =
                terminal.width > 0 ? fit(cells[i].text, width[i]) : cells[i].text;
            const auto padding =
                static_cast<std::size_t>(std::max(0, width[i] - display_width(text)));
            if (i > 0) line.append(gap, ' ');
            if (columns_[i].right) line.append(padding, ' ');
            line += paint(terminal, cells[i].style, text);
            if (!columns_[i].right && i + 1 < cells.size()) line.append(padding, ' ');
        }
        trim_right(line);
        return line + '\n';
    };
    std::vector<Cell> titles;
    for (const Column& column : columns_)
        titles.push_back({column.title, Style::dim});
    std::string out = line_of(titles);
    for (const auto& row : rows_)
        out += line_of(row);
    return out;
}

}  // namespace cli
