"""Scratch places, the daemon under test and the peers: what the measurements stand on. Ends only what it started."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time


def wait_until(condition, what, seconds=120.0, pause=0.002):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(pause)


@contextlib.contextmanager
def root_disk(parent):
    """A directory on the disk that `parent` is on."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="gpuspool-bench-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def loop_disk(parent):
    """A fresh ext4 with a journal, in an image file below `parent`, mounted; root only."""
    with root_disk(parent) as scratch:
        image, mount_point = scratch / "image", scratch / "disk"
        mount_point.mkdir()
        subprocess.run(["truncate", "--size=2G", image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "has_journal", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount_point], check=True)
        try:
            yield mount_point
        finally:
            unmount(mount_point)


def unmount(mount_point):
    # A supervisor may need a moment to go.
    for _ in range(50):
        if subprocess.run(["umount", mount_point], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "--lazy", mount_point], check=True)


class Programs:
    """The built programs, and the job `stamp`, compiled here."""

    def __init__(self, build, scratch):
        self.spoold = build / "spoold" / "spoold"
        self.supervisor = build / "spoold" / "spool-exec"
        self.probe = build / "spoold" / "spool-probe"
        for program in (self.spoold, self.supervisor, self.probe):
            if not program.exists():
                raise SystemExit(f"bench: {program} is not there; build first, or name the build with --build")
        self.stamp = scratch / "stamp"
        source = pathlib.Path(__file__).with_name("stamp.cpp")
        subprocess.run(["g++", "-O2", "-static", "-o", self.stamp, source], check=True)
        self.scratch = scratch

    def decide(self, jobs):
        """The output of decide.cpp, compiled here against the built library, as rows of fields."""
        program, here = self.scratch / "decide", pathlib.Path(__file__).resolve()
        library = self.spoold.parents[1] / "libspool" / "libspool.a"
        subprocess.run(["g++", "-std=c++20", "-O2", f"-I{here.parents[2]}", "-o", program, here.with_name("decide.cpp"),
                        library], check=True)
        out = subprocess.run([program, str(jobs)], check=True, capture_output=True, text=True).stdout
        return [line.split("\t") for line in out.splitlines()]

    def fake_driver(self):
        """The NVML of the tests, compiled here."""
        library = self.scratch / "libnvidia-ml.so.1"
        if not library.exists():
            tests = pathlib.Path(__file__).resolve().parents[1]
            subprocess.run(["g++", "-std=c++20", "-O2", "-shared", "-fPIC", "-o", library,
                            tests / "fake_nvml" / "nvml.cpp"], check=True)
        return library


class Spool:
    """A daemon on a fresh spool below `place`; a context manager."""

    def __init__(self, programs, place, slots, environment=None):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="spool-", dir=place))
        self.path = self.root / "spool"
        self.staging = self.root / "staging"
        self.marks = self.root / "marks"
        self.programs, self.slots, self.daemon, self.environment = programs, slots, None, environment or {}

    def __enter__(self):
        home = self.root / "home"
        home.mkdir()
        self.staging.mkdir()
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("GPUSPOOL", "XDG_"))}
        environment.update(HOME=str(home), SHELL="/bin/bash", GPUSPOOL_DIR=str(self.path),
                           GPUSPOOL_PROBE=str(self.programs.probe), GPUSPOOL_GPU_LOCKS=str(self.root), **self.environment)
        command = [self.programs.spoold, "--foreground", "--exec", self.programs.supervisor, "--cpu-slots", str(self.slots)]
        with open(self.root / "spoold.log", "wb") as log:
            self.daemon = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            # The first job waits for the login environment, and makes the record pool; it is not measured.
            wait_until(lambda: self.alive() and (self.path / "incoming").is_dir(), "the daemon")
            self.drop("warm-up", "#SPOOL --gpus=0\ntrue\n")
            wait_until(lambda: (self.path / "done" / "warm-up.json").exists(), "the first job")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.daemon.terminate()
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()

    def alive(self):
        if self.daemon.poll() is not None:
            raise RuntimeError(f"spoold ended: {(self.root / 'spoold.log').read_text()[-2000:]}")
        return True

    def drop(self, name, text):
        """By rename; returns the moment just before it."""
        staged = self.staging / name
        staged.write_text(text)
        target = self.path / "incoming" / f"{name}.job"
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        os.rename(staged, target)
        return moment

    def write_in_place(self, name, text):
        (self.path / "incoming" / f"{name}.job").write_text(text)

    def has_result(self, name):
        return (self.path / "done" / f"{name}.json").exists()

    def count_results(self):
        self.alive()
        return sum(name.endswith(".json") for name in os.listdir(self.path / "done"))

    def stamps(self):
        """[(begin, end)] of the jobs that ran `stamp`, in order of their begin."""
        lines = self.marks.read_text().splitlines() if self.marks.exists() else []
        return sorted(tuple(map(int, line.split()[:2])) for line in lines)

    def stamp_job(self, milliseconds=0, through_bash=False):
        """A job file that runs stamp: as its own interpreter, or as a bare command line that bash runs."""
        argument = f"{milliseconds}:{self.marks}"
        if through_bash:
            return f"exec {self.programs.stamp} {argument}\n"
        return f"#!{self.programs.stamp} {argument}\nrun\n"
