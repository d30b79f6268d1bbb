"""The measurements. Each takes a place (a directory on the disk to measure) and returns rows for the table."""
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

from harness import Spool, wait_until


def quantile(samples, share):
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latency_row(what, nanoseconds):
    values = [value / 1e6 for value in nanoseconds]
    return (what, f"{statistics.median(values):.2f} ms", f"p90 {quantile(values, 0.9):.2f}, max {max(values):.2f}, "
            f"n {len(values)}")


def start_latency(programs, place, count, through_bash):
    """Rename into a free slot → first instruction of the job's program."""
    gaps = []
    with Spool(programs, place, slots=1) as spool:
        for index in range(count):
            name = f"start-{index}"
            dropped = spool.drop(name, spool.stamp_job(through_bash=through_bash))
            wait_until(lambda: spool.alive() and spool.has_result(name), name)
            gaps.append(spool.stamps()[-1][0] - dropped)
            # Not in step with anything of the daemon's.
            time.sleep(random.uniform(0.02, 0.05))
    return latency_row("drop → start" + (", by bash" if through_bash else ""), gaps)


def turnaround(programs, place, count, milliseconds):
    """End of a job → start of the next on the only slot."""
    with Spool(programs, place, slots=1) as spool:
        for index in range(count + 1):
            spool.drop(f"next-{index}", spool.stamp_job(milliseconds))
        wait_until(lambda: spool.count_results() >= count + 2, "all jobs", seconds=600, pause=0.1)
        stamps = spool.stamps()
    return latency_row(f"end → next start, jobs of {milliseconds} ms",
                       [after[0] - before[1] for before, after in zip(stamps, stamps[1:])])


def spool_throughput(programs, place, count, in_place):
    """Seconds from the first byte written until every result is in done/."""
    with Spool(programs, place, slots=2) as spool:
        put = spool.write_in_place if in_place else spool.drop
        begin = time.monotonic()
        for index in range(count):
            put(f"job-{index}", "true\n")
        # Counting a directory costs as much as a few jobs: not before the last is there.
        wait_until(lambda: spool.alive() and spool.has_result(f"job-{count - 1}"), "the last result", seconds=600, pause=0.02)
        wait_until(lambda: spool.count_results() >= count + 1, "all results", seconds=600, pause=0.002)
        return time.monotonic() - begin


def timed_script(script, place, **environment):
    """Seconds that a bash script takes in a scratch directory at `place`."""
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="peer-", dir=place))
    socket = scratch / "socket"
    variables = {**os.environ, "TMPDIR": str(scratch), "SCRATCH": str(scratch), "TS_SOCKET": str(socket), **environment}
    try:
        begin = time.monotonic()
        subprocess.run(["bash", "-euc", script], env=variables, cwd=scratch, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        return time.monotonic() - begin
    finally:
        # The server of task-spooler outlives the script.
        if socket.exists():
            subprocess.run(["tsp", "-K"], env=variables, check=False)
        shutil.rmtree(scratch, ignore_errors=True)


# With two slots the last but one may end last.
TSP = """
export TS_MAXFINISHED=$((COUNT + 10))
tsp -S 2
for ((i = 0; i < COUNT; i++)); do last=$(tsp true); done
tsp -w "$last" && tsp -w $((last - 1))
[[ $(tsp -l | grep -c ' finished ') == "$COUNT" ]]
"""
NQ = "export NQDIR=$SCRATCH/queue; for ((i = 0; i < COUNT; i++)); do nq -q true; done; nq -w"
XARGS = "seq $COUNT | xargs -P2 -n1 true"


def throughput(programs, place, count, rounds):
    """Every contestant in turn, `rounds` times over, so that a slow minute of the machine hits all."""
    contestants = {
        "spool, renamed in": lambda: spool_throughput(programs, place, count, in_place=False),
        "spool, written in place": lambda: spool_throughput(programs, place, count, in_place=True),
    }
    peers = {"tsp": ("tsp -S 2", TSP), "nq": ("nq (one at a time)", NQ), "xargs": ("xargs -P2 (no queue)", XARGS)}
    for program, (label, script) in peers.items():
        if shutil.which(program):
            contestants[label] = lambda script=script: timed_script(script, place, COUNT=str(count))
    times = {label: [] for label in contestants}
    for _ in range(rounds):
        for label, run in contestants.items():
            times[label].append(run())
    return throughput_rows(times, count)


def throughput_rows(times, count):
    rates = {label: count / statistics.median(seconds) for label, seconds in times.items()}
    reference = rates.get("tsp -S 2")
    rows = []
    for label, seconds in times.items():
        ratio = f"{rates[label] / reference:.2f} of tsp; " if reference else ""
        rows.append((f"{count} × true: {label}", f"{rates[label]:.0f} jobs/s",
                     ratio + "s: " + ", ".join(f"{value:.2f}" for value in seconds)))
    return rows


def wake_ups(pid):
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def idle(programs, place, seconds):
    """Voluntary context switches of all threads of an idle daemon: each is one return to sleep."""
    with Spool(programs, place, slots=2) as spool:
        # What follows the first job (publishing, heartbeat) is not idleness.
        time.sleep(3)
        before = wake_ups(spool.daemon.pid)
        time.sleep(seconds)
        count = wake_ups(spool.daemon.pid) - before
    return ("idle daemon", f"{count * 60 / seconds:.1f} /min", f"{count} wake-ups in {seconds} s")


def processor_time(pid):
    """Nanoseconds of all threads of a process; 0 when it has gone."""
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return 0


def child_of(pid, name):
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except FileNotFoundError:
            continue
        if lines.get("Name") == name and lines.get("PPid") == str(pid):
            return int(status.parent.name)
    return None


GPU_GOAL = 0.1  # per cent of a core, for an idle daemon with eight GPUs and its probe


def busy_gpus(count):
    """A scenario for the driver of the tests: GPUs that a stranger uses."""
    return {"gpus": [{"uuid": f"GPU-{index}", "name": "NVIDIA A100", "pci": f"00000000:{index + 1:02x}:00.0",
                      "minor": 200 + index, "total": 81920, "used": 1005, "utilization": 50, "temperature": 50,
                      "power": 250000, "display": 0, "compute": [{"pid": 1, "memory": 1000}]} for index in range(count)]}


def surveys(programs, environment, count):
    """Milliseconds of the wall and of the probe's processor for a question about eight GPUs, the fake driver included."""
    variables = {**os.environ, **environment, "GPUSPOOL_SYSFS": str(programs.scratch), "GPUSPOOL_DEV": str(programs.scratch)}
    with subprocess.Popen([programs.probe], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as probe:
        walls = []
        for index in range(count + 10):
            if index == 10:  # the first ones load the driver
                before = processor_time(probe.pid)
            begin = time.monotonic_ns()
            probe.stdin.write(b"\n")
            probe.stdin.flush()
            probe.stdout.readline()
            walls.append(time.monotonic_ns() - begin)
        processor = (processor_time(probe.pid) - before) / count / 1e6
        probe.stdin.close()
    what, median, rest = latency_row("a survey of 8 GPUs", walls[10:])
    return (what, median, f"{processor:.3f} ms of the probe's processor; {rest}")


def judged(percent):
    return f"goal of {GPU_GOAL} % {'met' if percent <= GPU_GOAL else 'missed'}"


def watch_for(spool, label, seconds):
    """What daemon and probe use together, and how often the daemon wakes."""
    probe = child_of(spool.daemon.pid, "spool-probe")
    before = processor_time(spool.daemon.pid), processor_time(probe) if probe else 0, wake_ups(spool.daemon.pid)
    time.sleep(seconds)
    daemon = (processor_time(spool.daemon.pid) - before[0]) / seconds / 1e7
    asked = (processor_time(probe) - before[1]) / seconds / 1e7 if probe and processor_time(probe) else 0
    wakes = (wake_ups(spool.daemon.pid) - before[2]) * 60 / seconds
    return (f"8 GPUs, {label}", f"{daemon + asked:.3f} % of a core", f"{judged(daemon + asked)}; daemon {daemon:.3f} %, "
            f"{wakes:.0f} wake-ups/min; probe {asked:.3f} %, fake driver included")


def watching_gpus(programs, place, seconds):
    """What a survey costs; and what it costs to watch eight GPUs that a stranger uses, while a job waits and while none does."""
    scenario = programs.scratch / "gpus.json"
    scenario.write_text(json.dumps(busy_gpus(8)))
    environment = {"GPUSPOOL_NVML": str(programs.fake_driver()), "FAKE_NVML": str(scenario)}
    rows = [surveys(programs, environment, 500)]
    with Spool(programs, place, slots=2, environment=environment) as spool:
        spool.drop("waits", "true\n")
        time.sleep(4)
        rows.append(watch_for(spool, "a job waits", seconds))
        (spool.path / "incoming" / "waits.job").unlink()
        # The probe ends when nobody has asked for half a minute.
        wait_until(lambda: child_of(spool.daemon.pid, "spool-probe") is None, "the probe to end", pause=0.5)
        rows.append(watch_for(spool, "none waits", seconds))
    return rows


def decisions(programs, jobs):
    """What a decision costs with many waiting jobs."""
    return [(f"a decision, {jobs} jobs wait, {name}", f"{float(idle) / 1000:.3f} ms",
             f"after a job's end {float(event) / 1000:.3f} ms, one more job {add} us, 200 reasons {float(reasons) / 1000:.2f} ms")
            for name, idle, event, add, reasons in programs.decide(jobs)]
