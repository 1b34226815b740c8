"""What the run needs, installed into target/interop/autobahn once: Autobahn under Python 2.7, and npm `ws` 8."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOME = ROOT / "target" / "interop" / "autobahn"

INSTALL_SECONDS = 900
BUILD_SECONDS = 1800


class Missing(Exception):
    """This machine cannot have the tool: the run is skipped. A failed installation is another matter."""


class Broken(Exception):
    """An installation or a build that should have worked did not."""


@dataclass(frozen=True)
class Tools:
    wstest: Path
    python2: Path
    node: str
    node_env: dict
    key: str  # changes with the version of any tool, and so does a verdict, perhaps

    @classmethod
    def install(cls):
        node = shutil.which("node")
        if not node or not shutil.which("npm"):
            raise Missing("no node and npm on this machine")
        system_python2 = find_python2()
        modules = npm_modules()
        environment = python2_environment(system_python2)
        drivers = [HERE / name for name in ("package.json", "requirements-2.7.txt", "echo.js", "client.js")]
        versions = f"{output(node, '--version')} {output(system_python2, '-c', PYTHON2_VERSION)}".encode()
        return cls(
            wstest=environment / "bin" / "wstest",
            python2=environment / "bin" / "python",
            node=node,
            node_env={"NODE_PATH": str(modules)},
            key=digest(versions, *(file.read_bytes() for file in drivers)),
        )

    def all_cases(self):
        """Every case that this Autobahn knows, as `1.1.1`, in its order."""
        program = "from autobahntestsuite.case import Cases; print(' '.join(c.__name__[4:] for c in Cases))"
        listed = output(self.python2, "-c", program)
        if not listed:
            raise Broken("Autobahn does not list its cases")
        return [name.replace("_", ".") for name in listed.split()]


PYTHON2_VERSION = "import sys; assert sys.version_info[:2] == (2, 7); print(sys.version)"


def find_python2():
    """A Python 2.7 that works: pyenv puts a `python2.7` on PATH that only says it was not chosen."""
    candidates = [shutil.which("python2.7")]
    roots = [output("pyenv", "root"), os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"]
    for root in filter(None, roots):
        candidates += sorted(Path(root).glob("versions/2.7*/bin/python2.7"), reverse=True)
    for candidate in filter(None, candidates):
        if output(candidate, "-c", PYTHON2_VERSION):
            return candidate
    raise Missing("no working python2.7, neither on PATH nor in pyenv: Autobahn's test suite needs it")


def python2_environment(system_python2):
    environment = HOME / "python2.7"
    requirements = HERE / "requirements-2.7.txt", HERE / "requirements.txt"
    wanted = digest(str(system_python2).encode(), *(file.read_bytes() for file in requirements))
    if stamp_of(environment) == wanted:
        return environment
    virtualenv = HOME / "virtualenv"
    for folder in virtualenv, environment:
        shutil.rmtree(folder, ignore_errors=True)
    execute([sys.executable, "-m", "pip", "install", "--quiet", "--target", virtualenv, "-r", requirements[1]])
    execute(
        [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "-p", system_python2, environment],
        {"PYTHONPATH": str(virtualenv)},
    )
    pip = environment / "bin" / "pip"
    execute([pip, "install", "--quiet", "--no-python-version-warning", "-r", requirements[0]])
    write_stamp(environment, wanted)
    return environment


def npm_modules():
    modules = HOME / "node_modules"
    package = HERE / "package.json"
    wanted = digest(package.read_bytes())
    if stamp_of(modules) != wanted:
        shutil.rmtree(modules, ignore_errors=True)
        shutil.copy(package, HOME)
        # No lock file: the one package has no dependencies of its own.
        execute(["npm", "install", "--prefix", HOME, "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock",
                 "--loglevel=error"])
        write_stamp(modules, wanted)
    return modules


def hybridge():
    """The release build of this repository, unless HYBRIDGE names another program."""
    given = os.environ.get("HYBRIDGE")
    if given:
        binary = Path(given).resolve()
    else:
        binary = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "hybridge"
        if not binary.exists():
            execute(["cargo", "build", "--locked", "--release"], seconds=BUILD_SECONDS)
    if not os.access(binary, os.X_OK):
        raise Broken(f"no hybridge at {binary}")
    return binary


def execute(command, environment=None, seconds=INSTALL_SECONDS):
    print("  $", *(shorten(word) for word in command), flush=True)
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Broken(str(problem)) from None
    if done.returncode:
        raise Broken(f"{shorten(command[0])} failed: {done.stdout.strip()[-800:]}")


def shorten(word):
    path = Path(word)
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name if path.is_absolute() else word


def output(*command):
    """What a command prints, or None if it cannot run."""
    try:
        done = subprocess.run(
            [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def digest(*parts):
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def stamp_of(folder):
    stamp = folder / "installed"
    return stamp.read_text() if stamp.exists() else None


def write_stamp(folder, wanted):
    (folder / "installed").write_text(wanted)
