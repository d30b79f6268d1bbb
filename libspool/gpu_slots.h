// The pool: what jobs can be given on this machine, and what a job may ask for. Plain data.
#pragma once

#include <climits>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/job_spec.h"

namespace spool {

/// What is known of a GPU of the pool.
struct PoolGpu {
    std::vector<std::string> names;  ///< index, id, PCI address: what a wish may call it
    std::string type;                ///< name of the product
    bool display = false;            ///< a screen hangs on it: taken last
    std::uint64_t memory = 0;        ///< bytes for jobs that share it, in all, just now
    std::uint64_t memory_total = 0;  ///< bytes; 0: not known, it cannot be shared

    bool operator==(const PoolGpu&) const = default;
};

/// One slot of the pool: a list of GPUs, as a job's CUDA_VISIBLE_DEVICES gets it.
struct GpuSlot {
    /// From good to bad.
    enum class State {
        open,       ///< what is not held by a job of ours may be given to one
        elsewhere,  ///< another spool has it: like a job of ours, for a while
        busy,       ///< somebody uses it without a spool, for who knows how long
        unknown,    ///< what it does cannot be told
        drained,    ///< it is to be left alone
    };

    std::string text;                  ///< verbatim: "0", "0,1", "" for none
    std::vector<std::string> devices;  ///< its GPUs: ids, or parts of `text` where none are known
    State state = State::open;
    std::string reason;  ///< for people: why it is not open

    bool operator==(const GpuSlot&) const = default;
};
/// "free" for one that is open, else the state's name.
[[nodiscard]] std::string slot_state_name(GpuSlot::State state);
/// A slot of which only its text is known: split at commas.
[[nodiscard]] GpuSlot make_gpu_slot(const std::string& text);

/// What a job was given, as its run page says it.
struct GrantedGpus {
    std::vector<std::string> texts;    ///< of its slots
    std::vector<std::string> devices;  ///< of all slots; empty: what the texts name
    std::uint64_t memory = 0;          ///< bytes on each; 0: whole GPUs

    bool operator==(const GrantedGpus&) const = default;
};

/// What is counted, not bound: processors and memory of the machine, jobs without a GPU.
struct Amounts {
    int cpu_slots = 0;
    int cpus = 0;
    std::uint64_t memory = 0;  ///< bytes

    bool operator==(const Amounts&) const = default;
    Amounts& operator+=(const Amounts& other);
    Amounts& operator-=(const Amounts& other);  ///< of less than there is: nothing stays
    /// Whether all of it can be had where there is `available`.
    [[nodiscard]] bool within(const Amounts& available) const;
};

struct Pool {
    std::vector<GpuSlot> gpu_slots;
    std::map<std::string, PoolGpu> gpus;  ///< by device, as far as known
    bool known = true;                    ///< false: whether there are GPUs is not known yet
    std::string problem;                  ///< why not
    std::optional<int> max_gpus;          ///< that this spool may hold at once
    Amounts amounts{1, INT_MAX, UINT64_MAX};
    std::set<std::string> labels;  ///< of the machine

    bool operator==(const Pool&) const = default;
};

/// What a job needs. `gpus` absent: one slot of the pool, whatever it holds, or a CPU slot where
/// there is no pool and no wish; with `gpu_ids` all of these.
struct Need {
    std::optional<int> gpus;
    std::uint64_t gpu_memory = 0;  ///< bytes on each GPU, which it then shares; 0: whole GPUs
    std::string gpu_type;
    std::vector<std::string> gpu_ids, gpu_avoid;
    int cpus = 0;                     ///< processors; 0: what it takes is not counted
    std::uint64_t memory = 0;         ///< bytes of the machine's memory; 0: not counted
    std::vector<std::string> labels;  ///< that the machine must have

    auto operator<=>(const Need&) const = default;

    /// How many GPUs, where that was said.
    [[nodiscard]] std::optional<std::size_t> wanted_gpus() const;
    [[nodiscard]] bool has_wish() const {
        return gpu_memory != 0 || !gpu_type.empty() || !gpu_ids.empty();
    }
};
[[nodiscard]] Need need_of(const JobSpec& spec);
/// " of type a100, not 2": what `need` wishes beside a number of GPUs; empty for nothing.
[[nodiscard]] std::string wish_text(const Need& need);

/// Whether `name` ("1", "GPU-8f6d…" or its beginning, "0000:81:00.0", "81:00") means this GPU.
[[nodiscard]] bool is_called(const PoolGpu& gpu, std::string_view name);
/// Whether two names that people have typed ("1", "GPU-8f6d", "81:00") may mean the same GPU; two
/// of different kinds always may.
[[nodiscard]] bool may_be_same_gpu(std::string_view a, std::string_view b);
/// Whether a GPU of the product `type` is what `wish` means: each word of the wish is a word of the
/// product's name, or several in a row ("a100", "rtx3090" and "RTX 3090", "a100-80gb").
[[nodiscard]] bool is_type(std::string_view type, std::string_view wish);
/// The first label of `need` that the pool's machine does not have.
[[nodiscard]] std::optional<std::string> missing_label(const Pool& pool, const Need& need);
/// Whether all GPUs of a slot are such as `need` wishes.
[[nodiscard]] bool suits(const Pool& pool, const GpuSlot& slot, const Need& need);

}  // namespace spool
