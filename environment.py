"""Makes ``.venv``, or finds that the one which is there fits: every target of `make` begins here.

What a machine lacks, and what can be known of it before a download, is told before the download.
A Python that is too old has to be able to read this file in order to say so: no package, and no
syntax or module younger than Python 3.6.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 15)  # what the pins in constraints.txt have wheels for
EXTRAS = {"book": ["book", "test"], "test": ["test"]}  # what is wanted: which extras hold it

# What the first set-up loads and then takes on disk, in GB: sums over the pinned wheels.
SIZES = {"cuda": (3.0, 5.5), "cpu": (0.4, 1.5), "elsewhere": (0.3, 1.3)}


class Refusal(Exception):
    """Why the set-up cannot go on, and what to do, in words for the person who typed `make`."""


# ---------------------------------------------------------------- this Python, this machine


def check_python(extra):
    """That the Python that runs this file can make the environment."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        names = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
        found = next(filter(starts, names), None)
        raise Refusal(
            f"The course runs on Python {dotted(OLDEST)} to {dotted(NEWEST)}, and {sys.executable} "
            f"is {dotted(version)}. "
            + ("This machine has another" if found else "Install one of them and name it")
            + f": make {extra} PYTHON={found or names[1]}"
        )
    bits = 64 if sys.maxsize > 2**32 else 32
    if (platform.python_implementation(), bits) != ("CPython", 64):
        raise Refusal(
            f"PyTorch is built for CPython of 64 bits, and {sys.executable} is "
            f"{platform.python_implementation()} of {bits}. Name another: make {extra} PYTHON=…"
        )
    reason = unsupported(platform.system(), platform.machine())
    if reason:
        raise Refusal(reason)
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        raise Refusal(
            f"{sys.executable} cannot make a virtual environment: it came without `ensurepip`. "
            f"To get it: {how_to_get_venv()}"
        ) from None


def starts(name):
    """Whether a command is there and runs: a shim may stand for a Python that is not installed."""
    try:
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.run([name, "-c", ""], **silent).returncode == 0
    except OSError:
        return False


def dotted(version):
    return ".".join(map(str, version))


def unsupported(system, machine):
    """Why the pinned PyTorch has no build for this system, or None."""
    if system == "Darwin":
        if machine != "arm64":
            return (
                f"PyTorch has had no build for Macs with an Intel processor since 2.2, and this "
                f"Python is one for them ({machine}). On a Mac with Apple silicon, take a Python "
                f"for arm64; on an older one, Linux in a virtual machine."
            )
        release = platform.mac_ver()[0]
        # A Python built for old systems is told 10.16, whatever the system is.
        if release and not release.startswith("10.16") and int(release.split(".")[0]) < 14:
            return f"The pinned PyTorch needs macOS 14 or later, and this is {release}."
        return None
    if system == "Windows":
        if machine.upper() != "AMD64":
            return f"PyTorch for Windows is built for AMD64, and this Python is for {machine}."
        return None
    if system != "Linux":
        return f"PyTorch has no build for {system}."
    if machine not in ("x86_64", "aarch64"):
        return f"PyTorch for Linux is built for x86_64 and aarch64, and this is {machine}."
    library, release = platform.libc_ver()
    if library != "glibc":
        return (
            "PyTorch needs the C library glibc, and this system has another, such as the musl of "
            "Alpine Linux. Take a container of Debian, Ubuntu or Fedora."
        )
    if tuple(map(int, release.split(".")[:2])) < (2, 28):
        return f"PyTorch needs glibc 2.28 or later, and this system has {release}."
    return None


def how_to_get_venv(os_release="/etc/os-release"):
    """The one line to type where Python came without what makes virtual environments."""
    if platform.system() == "Darwin":
        return "brew install python"
    family = ""
    with contextlib.suppress(OSError):
        family = Path(os_release).read_text()
    if re.search(r"^ID(_LIKE)?=.*(debian|ubuntu)", family, re.MULTILINE):
        return f"sudo apt install python{dotted(sys.version_info[:2])}-venv"
    if re.search(r"^ID(_LIKE)?=.*(fedora|rhel)", family, re.MULTILINE):
        return "sudo dnf install python3-pip"
    return "install what your system calls the `venv` of its Python"


# ---------------------------------------------------------------- the environment that is there


class Environment:
    """``.venv`` in the folder of the project, and the note in it of what it was made for."""

    def __init__(self, project):
        self.project = Path(project).resolve()
        self.folder = self.project / ".venv"
        windows = os.name == "nt"
        self.python = self.folder / ("Scripts/python.exe" if windows else "bin/python")
        self._note = self.folder / "made-for.json"

    def note(self):
        try:
            return json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}

    def write_note(self, **changes):
        note = dict(self.note(), project=str(self.project), **changes)
        self._note.write_text(json.dumps(note, indent=1))

    def has(self, extra, wanted):
        return any(self.note().get(name) == wanted for name in EXTRAS[extra])

    def probe(self):
        """What the Python in it says of itself, or None if it does not start."""
        question = (
            "import importlib.metadata as m, importlib.util as u, json, sys\n"
            "course = u.find_spec('attncourse')\n"
            "torch = [d.version for d in m.distributions(name='torch')]\n"
            "print(json.dumps({'version': sys.version_info[:3], 'base': sys.base_prefix,"
            " 'pip': bool(u.find_spec('pip')), 'torch': torch[0] if torch else None,"
            " 'course': course and course.origin}))"
        )
        try:
            command = [str(self.python), "-I", "-c", question]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
            )
            return json.loads(done.stdout.decode())
        except (OSError, ValueError, subprocess.CalledProcessError):
            return None

    def fault(self, python_was_chosen=False, torch=None):
        """Why it has to be made anew, or None, also where packages are still missing."""
        made_for = self.note().get("project", str(self.project))
        if made_for != str(self.project):
            return f"it was made for {made_for}, and a copied or moved one runs what is there"
        found = self.probe()
        if found is None:
            return "its Python is gone or does not start"
        version = dotted(found["version"])
        made_by = self._version_when_made()
        if made_by and made_by != found["version"][:2]:
            return f"it was made by Python {dotted(made_by)}, which has become {version}"
        if not OLDEST <= tuple(found["version"][:2]) <= NEWEST:
            return f"it was made by Python {version}, which is outside of what the course runs on"
        if not found["pip"]:
            return "it has no pip, as one that was left half made"
        if found["course"] and Path(found["course"]).resolve().parent.parent != self.project:
            return f"it runs the course that lies in {Path(found['course']).parent.parent}"
        base, our_base = os.path.realpath(found["base"]), os.path.realpath(sys.base_prefix)
        if python_was_chosen and (found["version"], base) != (list(sys.version_info[:3]), our_base):
            return f"it was made by Python {version} of {base}, and {sys.executable} is asked for"
        if torch == "cpu" and found["torch"] and not found["torch"].endswith("+cpu"):
            return f"it has PyTorch {found['torch']}, and TORCH=cpu is asked for"
        return None

    def _version_when_made(self):
        with contextlib.suppress(OSError):
            text = (self.folder / "pyvenv.cfg").read_text()
            version = re.search(r"^version\s*=\s*(\d+)\.(\d+)", text, re.MULTILINE)
            return version and [int(part) for part in version.groups()]
        return None


def fingerprint(project):
    """Of what is to be installed: contents, not times, which a `git pull` or a copy changes."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((Path(project) / name).read_bytes())
    return digest.hexdigest()


# ---------------------------------------------------------------- making it


def set_up(project, extra, python_was_chosen=False, torch=None):
    """Leave in ``.venv`` what the extra of the course needs, and do nothing where it is there."""
    environment = Environment(project)
    wanted = fingerprint(project)
    torch = torch or environment.note().get("torch")  # asked for once is asked for

    def is_ready():
        return environment.has(extra, wanted) and not environment.fault(python_was_chosen, torch)

    # Looked at before the lock, so that a checkout that nobody may write into can still be used.
    if is_ready():
        return
    with locked(environment.project):
        if is_ready():  # made by the one who held the lock
            return
        exists = os.path.lexists(str(environment.folder))
        for folder in [environment.project] + [environment.folder] * environment.folder.exists():
            if not os.access(str(folder), os.W_OK):
                raise Refusal(
                    f"{folder} may not be written, and packages have to be installed in it. Copy "
                    f"the project to a folder of yours."
                )
        fault = environment.fault(python_was_chosen, torch) if exists else None
        if exists and not fault:
            say("Bringing .venv up to date with pyproject.toml and constraints.txt.")
            install(environment, extra, torch)
        else:
            check_python(extra)
            if fault:
                say(f"The .venv that is here is replaced: {fault}.")
            announce_download(extra, torch)
            with put_aside(environment.folder):
                # Not by a Python in the folder that has just been moved away.
                base = getattr(sys, "_base_executable", sys.executable)
                run([base, "-m", "venv", str(environment.folder)])
                environment.write_note(torch=torch)
                install(environment, extra, torch)
        environment.write_note(**{extra: wanted})


def install(environment, extra, torch):
    project = str(environment.project)
    pip = [str(environment.python), "-m", "pip", "install", "--disable-pip-version-check"]
    pip += ["-c", "constraints.txt"]
    if torch == "cpu":
        version = pinned(environment.project / "constraints.txt", "torch", sys.version_info[:2])
        try:
            run([*pip, f"torch=={version}+cpu"], cwd=project)
        except subprocess.CalledProcessError:
            raise Refusal(
                f"pip could not install torch {version}+cpu. PyTorch keeps its builds without CUDA "
                f'in an index of its own: its page "Get Started" gives the address when you choose '
                f"pip and CPU. Let pip look there too, and try again: "
                f"export PIP_EXTRA_INDEX_URL=…; make {extra} TORCH=cpu"
            ) from None
    # What builds the package stays in .venv, so that no later change of it needs the network.
    run([*pip, "hatchling", "editables"], cwd=project)
    run([*pip, "--no-build-isolation", "-e", f".[{extra}]"], cwd=project)


def pinned(constraints, name, python):
    """The version that the file of constraints gives a package on a Python such as (3, 12)."""
    marker = r'(?:\s*;\s*python_version (<|>=) "(\d+)\.(\d+)")?'
    for line in Path(constraints).read_text().splitlines():
        pin = re.match(r"([\w.-]+)==([^;\s]+)" + marker + "$", line)
        if pin and pin.group(1) == name:
            _, version, comparison, major, minor = pin.groups()
            if not comparison or (python >= (int(major), int(minor))) == (comparison == ">="):
                return version
    raise Refusal(f"{constraints} has no pin of {name} for Python {dotted(python)}.")


def announce_download(extra, torch):
    kind = (torch or "cuda") if platform.system() == "Linux" else "elsewhere"
    load, disk = SIZES[kind]
    minutes = max(1, round(load * 8000 / 100 / 60))
    say(
        f"Making .venv with Python {platform.python_version()} of {sys.base_prefix}. It loads "
        f"{load} GB, less what pip has in its cache, and takes {disk} GB on disk: about {minutes} "
        f"min at 100 Mbit/s, and some more to unpack."
    )
    if kind == "cuda" and not shutil.which("nvidia-smi"):
        say(
            f"Most of that is PyTorch's build for NVIDIA GPUs, which is what the usual index has "
            f"for Linux, and this machine seems to have no such GPU. The build without, "
            f"{SIZES['cpu'][0]} GB in all: press Ctrl-C and type  make {extra} TORCH=cpu"
        )


@contextlib.contextmanager
def put_aside(folder):
    """Move a folder away while another is made in its place, and back if that fails."""
    aside = folder.with_name(folder.name + "-old")
    if os.path.lexists(str(folder)):
        remove(aside)
        folder.rename(aside)
    try:
        yield
    except BaseException:
        if os.path.lexists(str(aside)):
            remove(folder)
            aside.rename(folder)
        raise
    remove(aside)


def remove(path):
    """A folder with all that is in it, or a link to one, which stays."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(str(path), ignore_errors=True)


@contextlib.contextmanager
def locked(project):
    """One set-up in a folder at a time; where the system has no such lock, none."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(str(project), os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is running in this folder; waiting until it has ended.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def run(command, **settings):
    subprocess.run(command, check=True, **settings)


def say(text):
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("extra", choices=sorted(EXTRAS), help="what is to be run in it")
    parser.add_argument("--chosen", action="store_true", help="this Python, and no other")
    parser.add_argument("--torch", default="", help="cpu: PyTorch's build without CUDA")
    arguments = parser.parse_args()
    try:
        if arguments.torch not in ("", "cpu"):
            raise Refusal(f"TORCH must be cpu or left out, got {arguments.torch}.")
        if arguments.torch and platform.system() != "Linux":
            say("TORCH=cpu changes nothing here: only on Linux has the usual build CUDA.")
            arguments.torch = ""
        set_up(Path(__file__).parent, arguments.extra, arguments.chosen, arguments.torch or None)
    except Refusal as refusal:
        sys.exit(str(refusal))
    except subprocess.CalledProcessError as error:
        sys.exit(f"Setting up did not work; the lines above say why (status {error.returncode}).")
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command goes on; what was loaded stays in pip's cache.")


if __name__ == "__main__":
    main()
