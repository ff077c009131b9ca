"""What decides on a score is in the digest; what machines have to have in common is compared."""

import shutil
from dataclasses import replace

import pytest

from attncourse.dependencies import PACKAGE
from attncourse.instructor.batch import fingerprint
from attncourse.instructor.batch.fingerprint import installed


def test_all_that_grading_is_built_on_is_among_the_libraries():
    libraries = installed().libraries
    assert {"torch", "numpy", "scikit-learn", "ipython", "nbgrader", "nbformat", "nbconvert"} < set(
        libraries
    )
    assert {"bleach", "distributed", "traitlets"} < set(libraries)
    assert not {"ruff", "mypy", "pytest", "attncourse"} & set(libraries)


def test_what_is_not_the_same_is_said():
    here = installed()
    assert here.unlike(here) == ""
    assert here.unlike(replace(here, package="x")) == "another version of attncourse"
    there = replace(here, python="3.99", libraries={**here.libraries, "numpy": "0.1"})
    assert here.unlike(there).startswith("Python 3.99 instead of 3.")
    assert f"numpy 0.1 instead of {here.libraries['numpy']}" in here.unlike(there)
    assert "torch not at all instead of" in here.unlike(
        replace(here, libraries={k: v for k, v in here.libraries.items() if k != "torch"})
    )
    assert here.unlike(replace(here, libraries={**here.libraries, "unknown": "1"})) == ""
    assert here.unlike(replace(here, libraries={})).endswith(f" and {len(here.libraries) - 5} more")


@pytest.mark.parametrize(
    "changed", ["attention.py", "grading.py", "instructor/batch/job.py", "experiments/training.py"]
)
def test_a_change_anywhere_in_the_package_makes_another_version(tmp_path, monkeypatch, changed):
    here, other = installed(), tmp_path / "attncourse"
    shutil.copytree(PACKAGE, other)
    monkeypatch.setattr(fingerprint, "PACKAGE", other)
    assert here.unlike(installed()) == ""
    with (other / changed).open("a") as file:
        file.write("# changed\n")
    assert here.unlike(installed()) == "another version of attncourse"
