// Daemons of two and of five users, 1,000 jobs each time: no GPU is ever given twice, and over any
// minute nobody has had a GPU less than another. Made-up users: needs root.
#include <QDateTime>
#include <QTest>
#include <algorithm>
#include <memory>
#include <vector>

#include "libspool/values.h"
#include "tests/support/gpu_users.h"
#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

constexpr std::int64_t second = 1'000'000'000, minute = 60 * second;

/// What one user has to do.
struct Load {
    int jobs = 0;
    double seconds = 0;  ///< that each of them sleeps
};

struct Interval {
    std::int64_t from = 0, to = 0;
};
using Runs = std::vector<Interval>;

std::int64_t time_of(const QJsonObject& result, const char* key) {
    return spool::parse_time(result[key].toString().toStdString()).value_or(0);
}

/// GPUs that a user has had on average between two moments.
double share(const Runs& runs, std::int64_t from, std::int64_t to) {
    std::int64_t sum = 0;
    for (const Interval& run : runs)
        sum += std::max<std::int64_t>(0, std::min(run.to, to) - std::max(run.from, from));
    return static_cast<double>(sum) / static_cast<double>(to - from);
}

/// Users who have more to do than their machine can, for a good minute.
class Crowd {
public:
    Crowd(int first_number, std::vector<Load> loads) : loads_(std::move(loads)) {
        for (std::size_t user = 0; user < loads_.size(); ++user)
            users_.push_back(
                std::make_unique<User>(machine_, first_number + static_cast<int>(user)));
    }

    /// The first user has all GPUs when the others come.
    [[nodiscard]] bool start() {
        for (std::size_t user = 0; user < users_.size(); ++user)
            drop_all(*users_[user], loads_[user]);
        const User& first = *users_.front();
        if (!users_.front()->spool.start() ||
            !first.spool.wait_for([&] { return first.results().size() > machine_gpus; },
                                  "the first user's jobs"))
            return false;
        for (std::size_t user = 1; user < users_.size(); ++user) {
            TestSpool& spool = users_[user]->spool;
            const auto waits = [&] {
                return state_of(spool)["counts"].toObject()["waiting"].toInt() > 0;
            };
            if (!spool.start() || !spool.wait_for(waits, "another user's jobs to wait"))
                return false;
        }
        from_ = QDateTime::currentMSecsSinceEpoch() * 1'000'000;
        return true;
    }

    /// Waits for all jobs. False, and a warning, if one of them met another one on its GPU.
    [[nodiscard]] bool finish() {
        to_ = INT64_MAX;
        for (std::size_t user = 0; user < users_.size(); ++user) {
            const User& of = *users_[user];
            const int jobs = loads_[user].jobs;
            if (!of.spool.wait_for([&] { return of.results().size() == jobs; }, "all jobs", 400s))
                return false;
            Runs own;
            for (const QString& file : of.results()) {
                const QJsonObject result = of.spool.result(file.chopped(5));
                if (result["state"] != "succeeded") {
                    qWarning("%s", QJsonDocument(result).toJson().constData());
                    return false;
                }
                own.push_back({time_of(result, "started_at"), time_of(result, "ended_at")});
            }
            const auto earlier = [](const Interval& a, const Interval& b) {
                return a.from < b.from;
            };
            to_ = std::min(to_, std::max_element(own.begin(), own.end(), earlier)->from);
            runs_.push_back(std::move(own));
        }
        return true;
    }

    /// While all of them had jobs to start.
    [[nodiscard]] std::int64_t lasted() const { return to_ - from_; }

    /// Over any minute of that time: by how many GPUs the luckiest was ahead of the unluckiest.
    [[nodiscard]] double widest_gap() const {
        double widest = 0;
        for (std::int64_t begin = from_; begin + minute <= to_; begin += second) {
            double least = machine_gpus, most = 0;
            for (const Runs& own : runs_) {
                const double had = share(own, begin, begin + minute);
                least = std::min(least, had);
                most = std::max(most, had);
            }
            widest = std::max(widest, most - least);
        }
        return widest;
    }

private:
    /// A job makes a directory that is named after its GPU: where another one is there too, it
    /// fails.
    void drop_all(const User& user, const Load& load) const {
        const QByteArray mark = machine_.path("oracle/gpu-$CUDA_VISIBLE_DEVICES").toUtf8();
        const QByteArray script = "mkdir " + mark + "\nsleep " + QByteArray::number(load.seconds) +
                                  "\nrmdir " + mark + "\n";
        for (int job = 0; job < load.jobs; ++job)
            user.drop(QString("j%1.job").arg(job), script);
    }

    Machine machine_;
    std::vector<Load> loads_;
    std::vector<std::unique_ptr<User>> users_;
    std::vector<Runs> runs_;  ///< by user
    std::int64_t from_ = 0, to_ = 0;
};

}  // namespace

class SystemGpuShares : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        if (::geteuid() != 0) QSKIP("makes processes of other users: needs root");
    }
    void no_gpu_is_given_twice_and_all_have_their_share();
};

/// Two machines at once, since either takes more than a minute. What a user's jobs sleep is as much
/// as fills his part of the machine for that time; how long one of them is must not matter.
void SystemGpuShares::no_gpu_is_given_twice_and_all_have_their_share() {
    Crowd two(0, {{640, 0.2}, {360, 0.35}});
    Crowd five(2, {{250, 0.22}, {225, 0.25}, {200, 0.29}, {175, 0.35}, {150, 0.43}});
    QVERIFY(two.start() && five.start());
    for (Crowd* crowd : {&two, &five}) {
        QVERIFY(crowd->finish());
        // Who is kept waiting until others have nothing more to do has none of it.
        QVERIFY2(
            crowd->lasted() > minute,
            qPrintable(QString("all had jobs to start for %1 s").arg(crowd->lasted() / second)));
        qInfo("%d users' shares of %d GPUs: at most %.2f GPUs apart over any minute of %lld s",
              crowd == &two ? 2 : 5, machine_gpus, crowd->widest_gap(),
              static_cast<long long>(crowd->lasted() / second));
        QVERIFY(crowd->widest_gap() <= 1);
    }
}

QTEST_GUILESS_MAIN(SystemGpuShares)
#include "system_gpu_shares.moc"
