#include "shared_gpus.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <random>
#include <set>

#include "libspool/names.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

/// Others can make a look long, and make it wanted at any time: so much longer is none.
constexpr int rest_after_look = 9;

/// The notice of a closed file comes before its lock is gone.
constexpr std::chrono::nanoseconds after_a_notice = 20ms;

std::chrono::nanoseconds boot_time() {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

double random_share() {
    static std::minstd_rand source{std::random_device{}()};
    return std::uniform_real_distribution<double>(0, 1)(source);
}

/// The password database may be slow: each user is asked for once.
std::string owner_of(std::uint32_t uid) {
    static std::map<std::uint32_t, std::string> names;
    if (uid == geteuid()) return "another spool of yours";
    const auto [name, added] = names.try_emplace(uid);
    if (added) name->second = spool::printable(spool::user_name(uid));
    return "a spool of " + name->second;
}

std::string left_to(const spool::GpuLeft& left) {
    const std::string owner = owner_of(left.uid);
    if (left.reserved_for == 0) return "left to " + owner + ", whose turn it is";
    return "reserved for " + owner + ", which waits for " + std::to_string(left.reserved_for) +
           " GPUs";
}

}  // namespace

SharedGpus::SharedGpus(boost::asio::io_context& io, const spool::Spool& spool,
                       const spool::Clock& clock, std::function<void()> changed)
    : spool_(spool), clock_(clock), changed_(std::move(changed)), notices_(io) {}

spool::Result<void> SharedGpus::open() {
    if (locks_ && directory_is_the_same()) return {};
    struct stat root {
    }, directory{};
    if (fstat(static_cast<int>(spool_.root.get()), &root) != 0)
        return spool::system_error("stat", spool_.path, errno);
    if (mark_.empty()) mark_ = spool::spool_mark(spool_.identity, root.st_dev, root.st_ino);
    const std::string path = spool::default_gpu_lock_directory();
    if (stat(path.c_str(), &directory) != 0)
        return spool::system_error("open the directory of the GPU locks", path, errno);
    auto locks = spool::GpuLocks::open(path, mark_, spool_.path);
    if (!locks) return tl::unexpected(locks.error());
    const bool again = locks_.has_value();
    locks_ = std::move(*locks);
    directory_device_ = directory.st_dev;
    directory_inode_ = directory.st_ino;
    if (again) lock_again();
    if (!turns_) turns_.emplace(geteuid(), mark_);
    return {};
}

/// False as well if others may now remove what is in it: opening it says so.
bool SharedGpus::directory_is_the_same() const {
    struct stat found {};
    return stat(spool::default_gpu_lock_directory().c_str(), &found) == 0 &&
           found.st_dev == directory_device_ && found.st_ino == directory_inode_ &&
           ((found.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (found.st_mode & S_ISVTX) != 0);
}

void SharedGpus::keep_directory() {
    if (locks_) (void)open();
}

/// Somebody has removed or moved the directory: what we have is to be seen in the new one too.
void SharedGpus::lock_again() {
    log_warning(locks_->directory() + " is another directory now: GPU locks are made there anew");
    rest();
    for (const auto& [job, gpus] : wanted_) {
        auto taken = locks_->take(gpus, job);
        const auto* holder = taken ? std::get_if<spool::GpuHolder>(&*taken) : nullptr;
        if (!taken || holder != nullptr) {
            log_warning("job " + std::to_string(job) + " has a GPU that cannot be locked anew: " +
                        (taken ? spool::holder_sentence(*holder) : taken.error().text()));
            continue;
        }
        own_[job].remove();
        own_[job] = std::get<spool::GpuLock>(std::move(*taken));
    }
}

void SharedGpus::know(const std::vector<spool::DeviceState>& devices) {
    parents_.clear();
    known_.clear();
    for (const spool::DeviceState& device : devices)
        known_.insert(device.gpu.id);
    for (const spool::DeviceState& device : devices)
        if (!device.gpu.parent.empty()) parents_[device.gpu.id] = device.gpu.parent;
}

spool::Result<void> SharedGpus::look() {
    const Time now = clock_.monotonic();
    if (look_again_ && *look_again_ <= now) look_again_.reset();
    if (now >= rest_until_)
        list_files();
    else
        look_again_ = std::max(look_again_.value_or(Time{0}), rest_until_);
    if (!looked_) return looked_;
    elsewhere_.clear();
    held_by_own_user_ = 0;
    for (const spool::GpuHolding& held : scene_.held)
        note_held(held);
    return {};
}

void SharedGpus::list_files() {
    const Time begun = clock_.monotonic();
    auto scene = open().and_then([&] { return locks_->look(known_); });
    looked_ = scene ? spool::Result<void>() : tl::unexpected(scene.error());
    if (scene) scene_ = std::move(*scene);
    const Time took = clock_.monotonic() - begun;
    rest_until_ = begun + took + rest_after_look * took;
}

std::vector<std::string> SharedGpus::problems() const {
    std::vector<std::string> out;
    for (const auto& [gpu, problem] : scene_.problems)
        if (known_.contains(gpu)) out.push_back(problem);
    return out;
}

void SharedGpus::note_held(const spool::GpuHolding& held) {
    if (held.uid == geteuid() && held.spool == mark_) return;
    if (held.uid == geteuid() && !elsewhere_.contains(held.gpu)) ++held_by_own_user_;
    const auto problem = scene_.problems.find(held.gpu);
    const std::string reason =
        problem != scene_.problems.end() ? problem->second : "used by " + owner_of(held.uid);
    elsewhere_.emplace(held.gpu, reason);
    for (const std::string& other : conflicts_of(held.gpu))
        elsewhere_.emplace(other, reason);
}

/// What nobody else may have together with this GPU: an instance and what it is a part of.
std::vector<std::string> SharedGpus::conflicts_of(const std::string& gpu) const {
    std::vector<std::string> out;
    for (const auto& [instance, parent] : parents_) {
        if (instance == gpu) out.push_back(parent);
        if (parent == gpu) out.push_back(instance);
    }
    return out;
}

bool SharedGpus::others_wait() const {
    return std::any_of(scene_.tickets.begin(), scene_.tickets.end(), [&](const auto& ticket) {
        return ticket.uid != geteuid() || ticket.spool != mark_;
    });
}

SharedGpus::Reasons SharedGpus::wait_for(const spool::GpuWish& wish,
                                         const std::vector<std::string>& pool,
                                         const std::vector<std::string>& free) {
    if (!locks_) return {};
    watch();
    spool::GpuView view;
    view.now = boot_time();
    view.wall = clock_.wall();
    view.pool = pool;
    view.free = free;
    view.held = scene_.held;
    view.tickets = scene_.tickets;
    view.own = wish;
    const spool::GpuTurn turn = turns_->may_take(view);
    renew_ticket(wish, free.empty() || others_wait());
    if (turn.look_again) {
        const Time at = clock_.monotonic() + (*turn.look_again - view.now);
        look_again_ = look_again_ ? std::min(*look_again_, at) : at;
    }
    Reasons others;
    for (const auto& [gpu, left] : turn.others)
        others[gpu] = left_to(left);
    return others;
}

void SharedGpus::renew_ticket(const spool::GpuWish& wish, bool wanted) {
    if (ticket_) {
        (void)ticket_->update(wish);
    } else if (wanted) {
        // Without one we wait as long, and are only seen later.
        if (auto ticket = locks_->make_ticket(wish)) ticket_ = std::move(*ticket);
    }
}

void SharedGpus::rest() {
    look_again_.reset();
    if (ticket_) ticket_->remove();
    ticket_.reset();
    boost::system::error_code ignored;
    if (notices_.is_open()) (void)notices_.close(ignored);
}

/// Notice of what others do, so that nobody has to wait for our next look.
void SharedGpus::watch() {
    if (notices_.is_open()) return;
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return;  // we look each second anyway
    boost::system::error_code refused;
    const bool watching = inotify_add_watch(fd, locks_->directory().c_str(),
                                            IN_CREATE | IN_DELETE | IN_CLOSE_WRITE) >= 0;
    if (watching) notices_.assign(fd, refused);
    if (!watching || refused) {
        ::close(fd);
        return;
    }
    wait_for_events();
}

void SharedGpus::wait_for_events() {
    notices_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& error) {
                            if (error) return;
                            char buffer[4096];
                            while (read(notices_.native_handle(), buffer, sizeof buffer) > 0) {
                            }
                            look_again_ = clock_.monotonic() + after_a_notice;
                            changed_();
                            wait_for_events();
                        });
}

/// Our locks are among them.
spool::Result<bool> SharedGpus::own_user_has_more_than(int limit) {
    const auto scene = locks_->look(known_);
    if (!scene) return tl::unexpected(scene.error());
    std::set<std::string> own;
    for (const spool::GpuHolding& held : scene->held)
        if (held.uid == geteuid()) own.insert(held.gpu);
    return static_cast<int>(own.size()) > limit;
}

/// For a random time, longer after each refusal.
void SharedGpus::keep_off() {
    off_until_ = clock_.monotonic() + spool::gpu_retry_delay(++refusals_, random_share());
    look_again_ = off_until_;
}

// Of two spools that lock GPUs at once each is seen by the other, as with one GPU: that both give
// way may be, never that both go on.
spool::Result<std::optional<std::string>> SharedGpus::take(std::uint64_t job,
                                                           const std::vector<std::string>& gpus,
                                                           std::optional<int> limit) {
    if (gpus.empty()) return std::nullopt;
    if (auto opened = open(); !opened) return tl::unexpected(opened.error());
    std::vector<spool::GpuWanted> wanted;
    wanted.reserve(gpus.size());
    for (const std::string& gpu : gpus)
        wanted.push_back({gpu, conflicts_of(gpu)});
    auto taken = locks_->take(wanted, job);
    if (!taken) return tl::unexpected(taken.error());
    if (const auto* holder = std::get_if<spool::GpuHolder>(&*taken)) {
        keep_off();
        return spool::holder_sentence(*holder);
    }
    auto lock = std::get<spool::GpuLock>(std::move(*taken));
    const auto too_many = limit ? own_user_has_more_than(*limit) : spool::Result<bool>(false);
    if (!too_many || *too_many) {
        lock.remove();
        if (!too_many) return tl::unexpected(too_many.error());
        keep_off();
        return "another spool of yours has the last of the GPUs that \"max_gpus\" allows you";
    }
    refusals_ = 0;
    own_[job] = std::move(lock);
    wanted_[job] = std::move(wanted);
    // From here on we wait anew.
    if (ticket_) ticket_->remove();
    ticket_.reset();
    return std::nullopt;
}

std::vector<std::string> SharedGpus::locked_by(std::uint64_t job) {
    return open()
        .and_then([&] { return locks_->gpus_of(job); })
        .value_or(std::vector<std::string>());
}

int SharedGpus::descriptor(std::uint64_t job) const {
    const auto found = own_.find(job);
    return found == own_.end() ? -1 : found->second.fd();
}

void SharedGpus::release(std::uint64_t job) {
    const auto found = own_.find(job);
    if (found == own_.end()) return;
    found->second.remove();
    own_.erase(found);
    wanted_.erase(job);
}

}  // namespace spoold
