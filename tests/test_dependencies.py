"""What a module uses is found: nothing that it loads is missing, and nothing that it has no use for."""

import subprocess
import sys

import pytest

from attncourse.dependencies import PACKAGE, digest, imported_modules, used_files
from attncourse.instructor.batch import fingerprint


def names(paths, package=PACKAGE):
    return {path.relative_to(package).as_posix() for path in paths}


@pytest.fixture
def package(tmp_path):
    files = {
        "__init__.py": "",
        "heads.py": "import pkg.low\nfrom pkg.tools import (\n    hammer,\n    Nail,\n)\n",
        "low.py": "def late():\n    from pkg import lower\n",
        "lower.py": '"""Text.\n\nfrom here on it is prose, (and not an import).\n"""\nimport os\n',
        "tools/__init__.py": "Nail = 1\n",
        "tools/hammer.py": "from __future__ import annotations\n",
        "tools/hammer.js": "",
        "tools/saw.py": "import pkg.heads\n",
        "unused.py": "import pkg.heads\n",
    }
    for name, text in files.items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pkg"


def test_imports_are_followed_wherever_they_stand_and_what_lies_beside_comes_along(package):
    found = names(used_files(["pkg.heads", "torch", "pkg.nothing"], package=package), package)
    assert found == {
        *("__init__.py", "heads.py", "low.py", "lower.py"),
        *("tools/__init__.py", "tools/hammer.py", "tools/hammer.js"),
    }


def test_modules_that_import_each_other_are_found_once(package):
    (package / "lower.py").write_text("import pkg.heads\n")
    assert "lower.py" in names(used_files(["pkg.heads"], package=package), package)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a.b as c", ["a.b"]),
        ("    from a.b import c, d as e  # why", ["a.b", "a.b.c", "a.b.d"]),
        ("from a import (  # why\n    b,\n)\nx = (1)", ["a", "a.b"]),
        ("from . import sibling", []),
        ("%load_ext a\n!pip list\nfrom a import b", ["a", "a.b"]),
        ("from this point on (and only there)\nimport", []),
    ],
)
def test_imports_are_read_as_python_reads_them(source, found):
    assert list(imported_modules(source)) == found


@pytest.mark.parametrize("module", fingerprint._CODE)
def test_nothing_that_grading_loads_is_missing(module):
    loaded = (
        f"import sys, {module}; print(*[m.__file__ for n, m in sys.modules.items() "
        "if n.startswith('attncourse') and m.__file__])"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    used = {str(path) for path in used_files(fingerprint._CODE)}
    assert used >= set(done.stdout.split())


def test_what_grading_has_no_use_for_does_not_decide_on_a_score():
    used = names(used_files(fingerprint._CODE))
    rooms = {name.partition("/")[0].removesuffix(".py") for name in used}
    assert not rooms & {"experiments", "pretrained", "visuals", "site", "cli"}
    assert {"attention", "checking", "problem_sets"} <= rooms
    assert not {"instructor/batch/local.py", "instructor/batch/summary.py"} & used


def test_a_digest_changes_with_content_name_and_setting(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ab")
    two.write_text("c")
    first = digest([(tmp_path, one), (tmp_path, two)])
    one.write_text("a")
    two.write_text("bc")
    assert digest([(tmp_path, one), (tmp_path, two)]) != first
    assert digest([(tmp_path, one)]) != digest([(tmp_path, one)], "setting")
    same = tmp_path / "three"
    same.write_text("a")
    assert digest([(tmp_path, one)]) != digest([(tmp_path, same)])
