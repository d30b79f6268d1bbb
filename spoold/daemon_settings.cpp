// What the daemon takes from its surroundings, and takes again when they change: config.json, the
// pool, the environment of the login shell.

#include <cerrno>
#include <thread>

#include "daemon.h"
#include "libspool/environment.h"
#include "libspool/system.h"
#include "libspool/text.h"
#include "log.h"
#include "login_environment.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

LoginRequest login_request() {
    LoginRequest request;
    request.own = spool::own_environment();
    request.shell = user_shell(request.own);
    request.home = user_home(request.own);
    request.is_dropped = spool::is_session_variable;
    return request;
}

}  // namespace

void Daemon::load_config() {
    config_changed_ = false;
    auto bytes = spool::read_whole(files_, spool_.root.get(), "config.json", 1 << 20);
    const std::string path = spool_.path + "/config.json";
    auto config = bytes || bytes.error().code != ENOENT
                      ? bytes.and_then(
                            [&](const std::string& text) { return spool::read_config(text, path); })
                      : spool::Result<spool::Config>(spool::Config{});
    troubles_.set("config",
                  config ? "" : config.error().text() + "; the last good settings stay in force");
    if (!config) return set_gpu_wishes();
    config_ = std::move(*config);
    troubles_.set("config warnings", spool::joined(config_.warnings, "; "));
    spool::IncomingSettings settings;
    settings.settle = config_.settle;
    if (on_network_) {
        // Leases and notices do not reach across the network: only time tells that a file is whole.
        settings.settle = std::max<std::chrono::nanoseconds>(settings.settle, 2s);
        settings.unfinished_line = 10s;
    }
    incoming_->set_settings(std::move(settings));
    launcher_->set_config(config_);
    hooks_->set_timeout(config_.hook_timeout);
    set_gpu_wishes();
}

void Daemon::set_gpu_wishes() {
    spool::GpuPoolWishes wishes;
    wishes.listed = options_.gpus ? options_.gpus : config_.gpus;
    if (options_.automatic_gpus) wishes.listed.reset();
    wishes.bind_by_id = config_.bind_by_id;
    wishes.rules = config_.gpu_rules;
    wishes.allowed = machine_.rules().gpus;
    for (const std::string& name : config_.gpus_drained)
        wishes.drained.emplace(name, "\"gpus_drained\" in config.json");
    for (const auto& [vendor, variable] :
         {std::pair(spool::GpuVendor::nvidia, "CUDA_VISIBLE_DEVICES"),
          std::pair(spool::GpuVendor::amd, "ROCR_VISIBLE_DEVICES")})
        if (const char* value = std::getenv(variable); value != nullptr)
            wishes.visible.emplace(vendor, value);
    gpus_->set_wishes(std::move(wishes));
    gpus_changed_ = true;
    set_pool();
}

void Daemon::set_pool() {
    spool::Pool pool;
    const spool::GpuPool& gpus = gpus_->pool();
    pool.gpu_slots = gpus.gpu_slots;
    pool.gpus = gpus.gpus;
    pool.known = gpus.known;
    pool.problem = gpus.problem;
    for (spool::GpuSlot& slot : pool.gpu_slots)
        for (const std::string& device : slot.devices)
            if (const auto turn = others_turns_.find(device);
                turn != others_turns_.end() && slot.state == spool::GpuSlot::State::open) {
                slot.state = spool::GpuSlot::State::elsewhere;
                slot.reason = turn->second;
            }
    pool.max_gpus = config_.max_gpus;
    if (const auto limit = machine_.rules().limit_of(user_)) {
        const int left = std::max(0, *limit - shared_->held_by_own_user());
        pool.max_gpus = std::min(pool.max_gpus.value_or(left), left);
    }
    static const int processors =
        static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    static const std::uint64_t memory = spool::machine_memory();
    const auto slots = options_.cpu_slots ? options_.cpu_slots : config_.cpu_slots;
    pool.amounts = {slots.value_or(std::max(1, processors / 2)), config_.cpus.value_or(processors),
                    config_.memory.value_or(memory)};
    pool.labels = config_.labels;
    if (pool == policy_.pool()) return;
    policy_.set_pool(std::move(pool));
    state_changed_ = true;
}

void Daemon::reload_if_changed() {
    if (config_changed_) load_config();
}

/// A start-up file of the login shell that was edited changes what bare jobs get.
void Daemon::notice_changed_startup_files() {
    if (startup_stamp(login_request()) == startup_stamp_) return;
    log_notice("a start-up file of the login shell has changed: its environment is read again");
    capture_environment();
}

/// The login environment, read beside everything else; only bare files wait for it.
void Daemon::capture_environment() {
    const LoginRequest request = login_request();
    startup_stamp_ = startup_stamp(request);
    capture_login_environment(io_, request, [this](spool::Result<spool::Environment> captured) {
        const bool good = captured.has_value();
        troubles_.set(
            "environment",
            good ? "" : "bare jobs get the daemon's own environment: " + captured.error().text());
        spool::Environment environment;
        if (good) {
            environment = std::move(*captured);
        } else {
            for (auto& [name, value] : spool::own_environment())
                if (!spool::is_session_variable(name)) environment.emplace(name, value);
        }
        found_environment_ = {std::move(environment), good ? "login" : "daemon"};
        next_environment_try_ = 0ns;
        ask_for_pass();
    });
}

/// Takes the environment that was found into use. A full disk may refuse its file: then again
/// later.
void Daemon::use_found_environment() {
    if (!found_environment_ || clock_.monotonic() < next_environment_try_) return;
    const auto& [environment, source] = *found_environment_;
    const auto set = launcher_->set_environment(environment, source);
    troubles_.set(
        "environment file",
        set ? "" : "the environment of bare jobs cannot be stored: " + set.error().text());
    state_changed_ = true;
    next_environment_try_ = clock_.monotonic() + 1s;
    if (!set) return;
    found_environment_.reset();
    for (const auto& [name, job] : incoming_->jobs())
        if (!policy_.waits(job.number)) enqueue(job.number);
    arrays_->environment_found();
}

}  // namespace spoold
