// The job that the benchmark runs: notes when it began and when it ended, and between only waits.
// usage: stamp MILLISECONDS:FILE [NAME]
// appends "begin end NAME" (CLOCK_MONOTONIC, nanoseconds) to FILE
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

static long long now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

int main(int argc, char** argv) {
    const long long begin = now();
    const char* file = argc < 2 ? nullptr : std::strchr(argv[1], ':');
    if (file == nullptr) return 2;
    const long milliseconds = std::atol(argv[1]);
    const timespec pause{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
    if (milliseconds > 0) nanosleep(&pause, nullptr);

    const int descriptor = open(file + 1, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char line[512];
    const int length = std::snprintf(line, sizeof line, "%lld %lld %.400s\n", begin, now(),
                                     argc > 2 ? argv[2] : "-");
    return descriptor >= 0 && write(descriptor, line, static_cast<std::size_t>(length)) == length
               ? 0
               : 1;
}
