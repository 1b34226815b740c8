"""Where the clients and backends come from: installed into target/interop once, found there ever after.

Versions from npm are pinned in ../package.json and its lock, those from PyPI in ../requirements*.txt. Debian packages
are of the version that this Debian has; each run prints what it found.
"""

import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from processes import dying_with_parent

INTEROP = Path(__file__).resolve().parent.parent
ROOT = INTEROP.parent
HOME = ROOT / "target" / "interop"
MODULES = HOME / "node_modules"

INSTALL_SECONDS = 900


class Missing(Exception):
    """This machine cannot have the tool: what needs it is skipped. A failed installation is another matter."""


class Broken(Exception):
    """An installation that should have worked did not: what needs it has failed."""


def once(function):
    """Installs at most once a run, and remembers a failure as well as a success."""
    results = {}

    @functools.wraps(function)
    def wrapper(*args):
        if args not in results:
            try:
                results[args] = (function(*args), None)
            except (Missing, Broken) as problem:
                results[args] = (None, problem)
        value, problem = results[args]
        if problem:
            raise problem
        return value

    return wrapper


def _run(command, **options):
    print("  $", " ".join(map(str, command)), flush=True)
    try:
        done = subprocess.run(
            # Not by force: a package manager has something to tidy up.
            dying_with_parent(command, by="TERM"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
            **options,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Broken(str(problem)) from None
    if done.returncode:
        raise Broken(f"{command[0]} failed: {done.stdout.strip()[-600:]}")
    return done.stdout


def _output(*command, env=None):
    """What a command prints, or None if it cannot run."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **(env or {})},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _on_x64():
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Missing("its binary is for Linux on x86-64 only")


# Debian ---------------------------------------------------------------------------------------------------------------


@once
def _apt_update():
    _run(["apt-get", "update", "-qq"])


@once
def apt(package):
    if not shutil.which("apt-get"):
        raise Missing(f"needs Debian's {package}, and there is no apt-get here")
    if os.geteuid() != 0:
        raise Missing(f"needs Debian's {package}: apt-get install {package}")
    _apt_update()
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=environment)


def _program(name, package):
    if not shutil.which(name):
        apt(package)
    found = shutil.which(name)
    if not found:
        raise Broken(f"{package} is installed, but there is no {name}")
    return found


def _debian_version(package):
    version = _output("dpkg-query", "-W", "-f", "${Version}", package) or "?"
    return version.split(":")[-1].split("-")[0]


@once
def unpacked(package):
    """A folder with the files of a Debian package, and of those that it needs and this machine does not have.

    For servers: nothing is installed, so that nothing is started, now or when the machine starts; nor does it take root.
    """
    folder = HOME / "debian" / package
    stamp = HOME / "debian" / f"{package}.stamp"
    if stamp.exists():
        return folder
    if not shutil.which("apt-get"):
        raise Missing(f"needs Debian's {package}, and there is no apt-get here")
    if os.geteuid() == 0:
        _apt_update()
    elif not _output("apt-cache", "show", package):
        raise Missing(f"needs Debian's {package}: apt-get install {package}")
    shutil.rmtree(folder, ignore_errors=True)
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    # No lock: nothing of the machine's own is written.
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "--reinstall", "--download-only",
          "-o", "Debug::NoLocking=1", "-o", f"Dir::Cache::archives={archives}", package])
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "--extract", archive, folder])
    shutil.rmtree(archives)
    stamp.touch()
    return folder


def server(name, package):
    """A server's program and the environment that it needs: the machine's own, or that of an unpacked package."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    if found := shutil.which(name, path=path):
        return Path(found), {}
    folder = unpacked(package)
    for place in ("usr/sbin", "usr/bin"):
        if (folder / place / name).exists():
            libraries = sorted((folder / "usr" / "lib").glob("*-linux-gnu*")) + sorted((folder / "lib").glob("*-linux-gnu*"))
            # Some keep a library or two of their own in a folder below.
            libraries += [below for library in libraries for below in sorted(library.iterdir()) if below.is_dir()]
            return folder / place / name, {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}
    raise Broken(f"there is no {name} in {package}")


# TLS ------------------------------------------------------------------------------------------------------------------


@once
def certificate(name):
    """The key and the certificate of a server of this name: one that is its own authority."""
    key, file = HOME / "tls-key.pem", HOME / "tls-certificate.pem"
    self_signed(name, key, file)
    return key, file


def self_signed(name, key, file):
    _run([_program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
          "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE",
          "-keyout", key, "-out", file])


# npm ------------------------------------------------------------------------------------------------------------------


@once
def node():
    return _program("node", "nodejs")


@once
def npm_packages():
    """All of package.json, without their install scripts: these would compile or download things."""
    files = [INTEROP / "package.json", INTEROP / "package-lock.json"]
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    stamp = HOME / "npm.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return MODULES
    npm = _program("npm", "npm")
    for file in files:
        shutil.copy(file, HOME)
    _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HOME)
    stamp.write_text(wanted)
    return MODULES


def npm_version(name):
    return json.loads((npm_packages() / name / "package.json").read_text())["version"]


@once
def node_0_10():
    """The node these clients were written for; today's has lost what they call."""
    _on_x64()
    return npm_packages() / "node-0.10" / "bin" / "node"


@once
def phantomjs(version, probe):
    """The program and the environment it needs."""
    _on_x64()
    program = npm_packages() / f"phantomjs-{version}" / "bin" / "linux" / "x64" / "phantomjs"
    # It would load any OpenSSL that it finds, and crash in OpenSSL 3. It looks for this name first, and is content with
    # a library that has none of the functions: it does without TLS then.
    decoys = HOME / "phantomjs-decoys"
    decoys.mkdir(exist_ok=True)
    for name in ("libssl.so.0.9.8", "libcrypto.so.0.9.8"):
        (decoys / name).unlink(missing_ok=True)
        (decoys / name).symlink_to(_libc())
    environment = {"LD_LIBRARY_PATH": str(decoys)}
    if _output(program, probe, env=environment) is None:
        apt("libfontconfig1")
        apt("libfreetype6")
        if _output(program, probe, env=environment) is None:
            raise Broken(f"{program} does not start")
    return program, environment, _output(program, "--version", env=environment)


def _libc():
    """The one shared library that is on every machine: this process has it mapped."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if Path(line.split()[-1]).name == "libc.so.6":
            return line.split()[-1]
    raise Missing("needs glibc")


# PyPI -----------------------------------------------------------------------------------------------------------------


@once
def pip_packages(requirements):
    """A folder with what a requirements file pins."""
    file = INTEROP / requirements
    folder = HOME / file.stem
    stamp = HOME / f"{file.stem}.stamp"
    if stamp.exists() and stamp.read_text() == file.read_text():
        return folder
    if _output(sys.executable, "-m", "pip", "--version") is None:
        apt("python3-pip")
    shutil.rmtree(folder, ignore_errors=True)
    # --no-compile: one of them is written in Python 2.
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check",
          "--root-user-action=ignore", "--target", folder, "-r", file])
    stamp.write_text(file.read_text())
    return folder


def pip_version(requirements, name):
    for line in (INTEROP / requirements).read_text().split():
        if line.startswith(name + "=="):
            return line.split("==")[1]
    raise Broken(f"{requirements} does not pin {name}")


@once
def python2():
    """Python 2.7 under one of its names, or from pyenv; Debian has it no more."""
    candidates = ["python2.7", "python2"]
    root = os.environ.get("PYENV_ROOT") or _output("pyenv", "root")
    if root:
        candidates += sorted(Path(root).glob("versions/2.7*/bin/python2.7"))
    for candidate in candidates:
        # Asked, not only looked for: pyenv leaves shims that lead nowhere.
        if _output(candidate, "-c", "import sys; print(sys.version_info[:2] == (2, 7))") == "True":
            return candidate
    raise Missing("needs Python 2.7: none as python2.7 or python2, none from pyenv")


# Perl, Ruby, Java -----------------------------------------------------------------------------------------------------


@once
def perl_protocol_websocket():
    probe = ("perl", "-MProtocol::WebSocket", "-e", "print Protocol::WebSocket->VERSION")
    if _output(*probe) is None:
        apt("libprotocol-websocket-perl")
    version = _output(*probe)
    if version is None:
        raise Broken("libprotocol-websocket-perl is installed, but perl does not find Protocol::WebSocket")
    return version


@once
def ruby_websocket():
    ruby = _program("ruby", "ruby")
    probe = (ruby, "-rwebsocket", "-e", "print Gem.loaded_specs['websocket'].version")
    if _output(*probe) is None:
        apt("ruby-websocket")
    version = _output(*probe)
    if version is None:
        raise Broken("ruby-websocket is installed, but ruby does not find it")
    return ruby, version


@once
def netty():
    """The class path with Netty and the compiled client."""
    jars = [Path("/usr/share/java") / f"netty-{part}.jar"
            for part in ("buffer", "codec", "codec-http", "common", "handler", "resolver", "transport")]
    if not all(jar.exists() for jar in jars):
        apt("libnetty-java")
    source = INTEROP / "clients" / "NettyClient.java"
    classes = HOME / "java"
    class_path = ":".join(map(str, [classes, *jars]))
    version = _debian_version("libnetty-java")
    wanted = version + hashlib.sha256(source.read_bytes()).hexdigest()
    stamp = HOME / "java.stamp"
    _program("java", "default-jdk-headless")
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(classes, ignore_errors=True)
        javac = _program("javac", "default-jdk-headless")
        _run([javac, "-nowarn", "-proc:none", "-cp", class_path, "-d", classes, source])
        stamp.write_text(wanted)
    return class_path, version
