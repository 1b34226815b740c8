"""What the comparison needs: other programs from the system's packages, hybridge and its load from cargo."""
import contextlib
import json
import os
import shutil
import subprocess

from .machine import Missing, read

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Program: the Debian package that has it.
PACKAGES = {"haproxy": "haproxy", "nginx": "nginx-light", "strace": "strace", "valgrind": "valgrind"}
POLICY = "/usr/sbin/policy-rc.d"


def find_programs(names, say):
    """Sees to it that these programs are there."""
    # Where daemons lie, for those who are not root.
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    packages = [PACKAGES[name] for name in names if not shutil.which(name)]
    if packages:
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Missing(f"install these first, for instance as root: {' '.join(command)}")
        say(" ".join(command))
        with no_services():
            quietly(["apt-get", "update"])
            quietly(command)
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        raise Missing(f"not found: {', '.join(missing)}")
    if not read("/proc/self/schedstat"):
        raise Missing("this kernel has no /proc/PID/schedstat, which tells how long a process ran")
    if not shutil.which("cargo"):
        raise Missing("cargo: install Rust, as https://rustup.rs says")


@contextlib.contextmanager
def no_services():
    """Packages that are installed within start no daemons: they would take ports, and time of those who are measured."""
    ours = not os.path.exists(POLICY)
    if ours:
        with open(POLICY, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        yield
    finally:
        if ours:
            os.remove(POLICY)


def quietly(command):
    done = subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Missing(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}")


def cargo(*arguments, flags=""):
    """Builds, and returns the programs by the name of their target."""
    command = ["cargo", "build", "--locked", "--release", "--message-format=json-render-diagnostics", *arguments]
    environment = {**os.environ, **({"RUSTFLAGS": flags} if flags else {})}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Missing(f"{' '.join(command)} failed")
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {one["target"]["name"]: one["executable"] for one in told if one.get("executable")}


def build_load():
    return cargo("--bench", "load")["load"]


def build_hybridge():
    """As it is released. After the load, for whose sake cargo builds it with what tests want of its libraries."""
    return cargo("--bin", "hybridge")["hybridge"]


def build_static():
    """hybridge without shared libraries."""
    told = subprocess.run(["rustc", "-vV"], stdout=subprocess.PIPE, text=True).stdout
    host = next(line.split()[1] for line in told.splitlines() if line.startswith("host:"))
    return cargo("--bin", "hybridge", "--target", host, flags="-C target-feature=+crt-static")["hybridge"]


def version(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else command[0]
