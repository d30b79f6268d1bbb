#include "cli/gpu_table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "cli/format.h"
#include "cli/table.h"
#include "libspool/names.h"
#include "libspool/values.h"

namespace cli {
namespace {

constexpr int bar_width = 10;
constexpr int legible = 24;  ///< columns of a type or a job that need not be cut more

std::string with_unit(const std::optional<int>& value, const char* unit) {
    return value ? std::to_string(*value) + unit : "-";
}

std::string memory_text(const spool::Gpu& gpu) {
    if (gpu.memory_total == 0) return "-";
    return spool::format_size(gpu.memory_used) + " of " + spool::format_size(gpu.memory_total);
}

double share_of(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string jobs_text(const spool::DeviceState& device,
                      const std::vector<spool::RunningState>& running) {
    std::string out;
    for (const std::uint64_t number : device.jobs) {
        const auto job = std::find_if(running.begin(), running.end(), [&](const auto& entry) {
            return (entry.task ? entry.number : entry.id) == number;
        });
        out += (out.empty() ? "" : ", ") +
               (job == running.end() ? number_text(number) : job_text(job->id, job->name));
    }
    return out;
}

Cell use_of(const spool::DeviceState& device, const std::vector<spool::RunningState>& running) {
    if (!device.jobs.empty()) return {jobs_text(device, running), Style::cyan};
    if (device.status == "free") return {"free", Style::green};
    if (device.status == "unused") return {"not in the pool", Style::dim};
    if (device.status == "elsewhere") return {"another spool's", Style::yellow};
    return {device.status, device.status == "busy" ? Style::yellow : Style::red};
}

std::string process_line(const spool::GpuProcess& process) {
    std::string line = "pid " + std::to_string(process.pid) + "  " +
                       (process.owner.empty() ? "?" : spool::printable(process.owner)) + "  " +
                       (process.program.empty() ? "?" : spool::printable(process.program));
    if (process.memory) line += "  " + spool::format_size(*process.memory);
    if (process.kind == spool::GpuProcess::Kind::graphics) line += "  (draws)";
    return line;
}

}  // namespace

bool utf8_locale() {
    for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"})
        if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') {
            const std::string locale = value;
            return locale.find("UTF-8") != locale.npos || locale.find("utf8") != locale.npos;
        }
    return false;
}

std::string use_bar(double share, bool utf8) {
    const int full = std::clamp(static_cast<int>(std::lround(share * bar_width)), 0, bar_width);
    std::string bar;
    for (int i = 0; i < bar_width; ++i)
        bar += i < full ? (utf8 ? "█" : "#") : (utf8 ? "·" : ".");
    return bar;
}

namespace {

/// Where the terminal is narrow columns go, those of the highest number first.
enum Detail { essential, figures, sensors, bars };

struct GpuColumn {
    Detail detail;
    Column column;
};

/// The figures have the titles of the bars where there are none.
std::vector<GpuColumn> columns_with(Detail most) {
    const bool drawn = most >= bars;
    return {{essential, {"GPU", true}},
            {essential, {"TYPE", false, true}},
            {bars, {"USE"}},
            {essential, {drawn ? "" : "USE", true}},
            {bars, {"MEMORY"}},
            {figures, {drawn ? "" : "MEMORY", true}},
            {sensors, {"TEMP", true}},
            {sensors, {"POWER", true}},
            {essential, {"JOB", false, true}}};
}

/// A cell for each column that there may be.
std::vector<Cell> cells_of(const spool::DeviceState& device,
                           const std::vector<spool::RunningState>& running) {
    const bool utf8 = utf8_locale();
    const spool::Gpu& gpu = device.gpu;
    const double use = gpu.utilisation.value_or(0) / 100.0;
    const double memory = share_of(gpu.memory_used, gpu.memory_total);
    return {{gpu.parent.empty() ? std::to_string(gpu.index) : "", Style::bold},
            {spool::printable(gpu.parent.empty() ? gpu.name : gpu.id)},
            {use_bar(use, utf8)},
            {with_unit(gpu.utilisation, " %")},
            {use_bar(memory, utf8)},
            {memory_text(gpu)},
            {with_unit(gpu.temperature, utf8 ? " °C" : " C")},
            {with_unit(gpu.power, " W")},
            use_of(device, running)};
}

Table table_with(Detail most, const std::vector<std::vector<Cell>>& rows) {
    const auto all = columns_with(most);
    std::vector<Column> columns;
    for (const GpuColumn& entry : all)
        if (entry.detail <= most) columns.push_back(entry.column);
    Table table(std::move(columns));
    for (const auto& row : rows) {
        std::vector<Cell> cells;
        for (std::size_t i = 0; i < all.size(); ++i)
            if (all[i].detail <= most) cells.push_back(row[i]);
        table.add(std::move(cells));
    }
    return table;
}

int widest_line(const std::string& text) {
    int widest = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        widest = std::max(widest, display_width(std::string_view(text).substr(begin, end - begin)));
        begin = end + 1;
    }
    return widest;
}

/// As many columns as the terminal has room for, with types and jobs that can still be told apart.
Table fitting_table(std::vector<std::vector<Cell>> rows, const Terminal& terminal) {
    const auto whole = rows;
    for (auto& row : rows)
        for (Cell* cell : {&row[1], &row.back()})
            cell->text = fit(cell->text, legible);
    for (const Detail most : {bars, sensors, figures})
        if (terminal.width <= 0 || widest_line(table_with(most, rows).render({})) <= terminal.width)
            return table_with(most, whole);
    return table_with(essential, whole);
}

}  // namespace

std::string gpu_table(const std::vector<spool::DeviceState>& devices,
                      const std::vector<spool::RunningState>& running, const Terminal& terminal) {
    std::vector<std::vector<Cell>> rows;
    rows.reserve(devices.size());
    for (const spool::DeviceState& device : devices)
        rows.push_back(cells_of(device, running));
    std::string out = fitting_table(std::move(rows), terminal).render(terminal);
    for (const spool::DeviceState& device : devices) {
        std::string below;
        if (!device.reason.empty()) below += "    " + spool::printable(device.reason) + "\n";
        if (device.gpu.processes)
            for (const spool::GpuProcess& process : *device.gpu.processes)
                below += "    " + process_line(process) + "\n";
        if (below.empty()) continue;
        out += "\nGPU " + std::to_string(device.gpu.index) +
               (device.gpu.parent.empty() ? "" : " (" + spool::printable(device.gpu.id) + ")") +
               ":\n" + below;
    }
    return out;
}

}  // namespace cli
