#include "libspool/gpu_slots.h"

#include <algorithm>

#include "libspool/names.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {
namespace {

constexpr std::size_t least_prefix = 8;  ///< of an id: "GPU-8f6d"

/// Letters and digits in lower case, divided at everything else.
std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    bool inside = false;
    for (const char c : lower_case(text)) {
        const bool part = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (part && !inside) out.emplace_back();
        if (part) out.back() += c;
        inside = part;
    }
    return out;
}

/// Whether `word` is some words in a row, written as one.
bool is_joined(const std::vector<std::string>& words, const std::string& word) {
    for (std::size_t begin = 0; begin < words.size(); ++begin) {
        std::string joined;
        for (std::size_t i = begin; i < words.size() && joined.size() < word.size(); ++i)
            joined += words[i];
        if (joined == word) return true;
    }
    return false;
}

/// "0000:81:00.0" from that, "81:00.0", "81:00" or the longer form of NVML; empty for no address.
std::string pci_address(std::string_view text) {
    std::string address = lower_case(text);
    if (address.size() > 4 && address.starts_with("pci-")) address.erase(0, 4);
    const auto colons = std::count(address.begin(), address.end(), ':');
    if (colons < 1 || colons > 2) return {};
    if (address.find('.') == address.npos) address += ".0";
    if (colons == 1) return "0000:" + address;
    const std::size_t domain = address.find(':');
    if (domain > 4) address.erase(0, domain - 4);
    return address;
}

enum class NameKind { index, id, instance, address, other };

NameKind kind_of(const std::string& name) {
    if (!name.empty() && name.find_first_not_of("0123456789") == name.npos) return NameKind::index;
    if (name.starts_with("gpu-") || name.starts_with("amd-")) return NameKind::id;
    if (name.starts_with("mig-")) return NameKind::instance;
    return pci_address(name).empty() ? NameKind::other : NameKind::address;
}

/// "7" of "007": as CUDA reads it.
std::string_view without_zeros(std::string_view index) {
    index.remove_prefix(std::min(index.find_first_not_of('0'), index.size() - 1));
    return index;
}

}  // namespace

Amounts& Amounts::operator+=(const Amounts& other) {
    cpu_slots += other.cpu_slots;
    cpus += other.cpus;
    memory += other.memory;
    return *this;
}

Amounts& Amounts::operator-=(const Amounts& other) {
    cpu_slots = std::max(0, cpu_slots - other.cpu_slots);
    cpus = std::max(0, cpus - other.cpus);
    memory -= std::min(memory, other.memory);
    return *this;
}

bool Amounts::within(const Amounts& available) const {
    return cpu_slots <= available.cpu_slots && cpus <= available.cpus && memory <= available.memory;
}

GpuSlot make_gpu_slot(const std::string& text) {
    GpuSlot slot;
    slot.text = text;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        const std::size_t first = text.find_first_not_of(' ', begin);
        if (first < comma) {
            std::string device =
                text.substr(first, text.find_last_not_of(' ', comma - 1) + 1 - first);
            if (std::find(slot.devices.begin(), slot.devices.end(), device) == slot.devices.end())
                slot.devices.push_back(std::move(device));
        }
        begin = comma + 1;
    }
    return slot;
}

std::string slot_state_name(GpuSlot::State state) {
    static constexpr const char* names[] = {"free", "elsewhere", "busy", "unknown", "drained"};
    return names[static_cast<int>(state)];
}

std::optional<std::size_t> Need::wanted_gpus() const {
    if (gpus) return static_cast<std::size_t>(*gpus);
    if (!gpu_ids.empty()) return gpu_ids.size();
    return std::nullopt;
}

/// Processors for all tasks; 0: none were asked for.
int processors_of(const JobSpec& spec) {
    return spec.cpus || spec.tasks > 1 ? spec.cpus.value_or(1) * std::max(1, spec.tasks) : 0;
}

/// Memory of the machine that a job asks for, in any of Slurm's ways.
std::uint64_t memory_of(const JobSpec& spec) {
    if (spec.memory) return *spec.memory;
    if (spec.memory_per_cpu)
        return *spec.memory_per_cpu * static_cast<std::uint64_t>(std::max(1, processors_of(spec)));
    return spec.memory_per_gpu.value_or(0) * static_cast<std::uint64_t>(spec.gpus.value_or(1));
}

/// Each once: "1,1" is one GPU.
std::vector<std::string> without_repetitions(const std::vector<std::string>& names) {
    std::vector<std::string> out;
    for (const std::string& name : names)
        if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    return out;
}

Need need_of(const JobSpec& spec) {
    return Need{spec.gpus,
                spec.gpu_memory.value_or(0),
                lower_case(spec.gpu_type),
                without_repetitions(spec.gpu_ids),
                spec.gpu_avoid,
                processors_of(spec),
                memory_of(spec),
                without_repetitions(spec.labels)};
}

std::string wish_text(const Need& need) {
    std::string out;
    if (!need.gpu_type.empty()) out += " of type " + printable(need.gpu_type);
    if (!need.gpu_ids.empty()) out += " among " + printable(joined(need.gpu_ids, ","));
    if (!need.gpu_avoid.empty()) out += " other than " + printable(joined(need.gpu_avoid, ","));
    if (need.gpu_memory != 0) out += " with " + format_size(need.gpu_memory) + " to share";
    return out;
}

bool is_called(const PoolGpu& gpu, std::string_view name) {
    const std::string wanted = lower_case(name);
    const std::string address = pci_address(name);
    return std::any_of(gpu.names.begin(), gpu.names.end(), [&](const std::string& raw) {
        const std::string own = lower_case(raw);
        if (own == wanted || (!address.empty() && pci_address(own) == address)) return true;
        return wanted.size() >= least_prefix && own.starts_with(wanted) &&
               (own.starts_with("gpu-") || own.starts_with("mig-"));
    });
}

bool may_be_same_gpu(std::string_view a, std::string_view b) {
    const std::string first = lower_case(a), second = lower_case(b);
    const NameKind kind = kind_of(first);
    if (kind != kind_of(second)) return true;
    if (kind == NameKind::index) return without_zeros(first) == without_zeros(second);
    if (kind == NameKind::address) return pci_address(first) == pci_address(second);
    return first.starts_with(second) || second.starts_with(first);
}

bool is_type(std::string_view type, std::string_view wish) {
    const auto product = words(type), wanted = words(wish);
    return !wanted.empty() && std::all_of(wanted.begin(), wanted.end(), [&](const auto& word) {
        return is_joined(product, word);
    });
}

std::optional<std::string> missing_label(const Pool& pool, const Need& need) {
    for (const std::string& label : need.labels)
        if (!pool.labels.contains(label)) return label;
    return std::nullopt;
}

bool suits(const Pool& pool, const GpuSlot& slot, const Need& need) {
    const bool chosen = need.has_wish() || need.wanted_gpus();
    if (chosen && slot.devices.empty()) return false;
    return std::all_of(slot.devices.begin(), slot.devices.end(), [&](const std::string& device) {
        const auto found = pool.gpus.find(device);
        const PoolGpu gpu =
            found != pool.gpus.end() ? found->second : PoolGpu{{device}, {}, false, 0, 0};
        const auto called = [&](const std::string& name) { return is_called(gpu, name); };
        if (!need.gpu_type.empty() && !is_type(gpu.type, need.gpu_type)) return false;
        if (need.gpu_memory > 0 && need.gpu_memory > gpu.memory_total) return false;
        if (!need.gpu_ids.empty() && std::none_of(need.gpu_ids.begin(), need.gpu_ids.end(), called))
            return false;
        return std::none_of(need.gpu_avoid.begin(), need.gpu_avoid.end(), called);
    });
}

}  // namespace spool
