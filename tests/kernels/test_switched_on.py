"""Where the course has its kernels forked, and that nothing else of it changes thereby."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from conftest import ROOT
from kernels.running import COLD
from nbformat.v4 import new_code_cell, new_notebook

from attncourse.site import assets
from attncourse.site.build import build_book

PROGRAMS = Path(sys.executable).parent
# The program that a kernel's parent runs.
ORIGIN = "import os\nopen(f'/proc/{os.getppid()}/cmdline').read().split('\\0')[1].split('/')[-1]"
WITHOUT_THE_REFEREE = """
c.Autograde.autograde_preprocessors = ["nbgrader.preprocessors.Execute", "nbgrader.preprocessors.SaveAutoGrades"]
c.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
c.Execute.timeout = 4
"""
SUBMISSIONS = {
    "honest": "two = 2",
    "loops": "two = 2\nprint('so far', flush=True)\nwhile True: pass",
    "leaves": "two = 2\nimport subprocess; subprocess.Popen(['sleep', '600']);",
    "ends": "import os; os._exit(1)",
    "fails": "two = 2 / 0",
}


def notebook(*sources):
    cells = [new_code_cell(source) for source in sources]
    marks = {"grade_id": "check", "points": 3, "schema_version": 3, "cell_type": "code"}
    marks |= {"grade": True, "solution": False, "locked": True, "task": False}
    cells.append(new_code_cell("assert two == 2", metadata={"nbgrader": marks}))
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernelspec})


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "course"
    (folder / "solutions/kernels").mkdir(parents=True)
    nbformat.write(notebook("..."), folder / "solutions/kernels/one.ipynb")
    config = (ROOT / "nbgrader_config.py").read_text(encoding="utf-8")
    (folder / "nbgrader_config.py").write_text(config + WITHOUT_THE_REFEREE)
    run(folder, "nbgrader", "generate_assignment", "kernels")
    for student, source in SUBMISSIONS.items():
        place = folder / "submitted" / student / "kernels"
        place.mkdir(parents=True)
        nbformat.write(notebook(ORIGIN, source), place / "one.ipynb")
    return folder


def run(folder, *command, status=0, **environment):
    """Run a program of the course, after which nothing is left of it."""
    own = {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "MARK": str(folder)}
    done = subprocess.run(
        [str(PROGRAMS / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert not [each for each in psutil.process_iter() if belongs_to(folder, each)]
    return done


def belongs_to(folder, process):
    try:
        return process.environ().get("MARK") == str(folder)
    except psutil.Error:
        return False


def outcome(folder):
    """Where the kernels came from, and what each student's notebook then held."""
    seen, origins = {}, set()
    for path in sorted(folder.glob("autograded/*/kernels/one.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        [origin] = cells[0].outputs
        origins.add(origin.data["text/plain"])
        seen[path.parts[-3]] = [cell.outputs for cell in cells[1:]]
    run(folder, "nbgrader", "export")
    grades = (folder / "grades.csv").read_text().splitlines()
    header = grades[0].split(",")
    columns = [header.index(name) for name in ("student_id", "score")]
    scores = [[row.split(",")[column] for column in columns] for row in grades[1:]]
    return origins, seen, sorted(scores)


def test_plain_nbgrader_grades_from_forked_kernels_what_it_grades_from_cold_ones(course, tmp_path):
    cold = tmp_path / "cold"
    shutil.copytree(course, cold)
    # One submission ends its kernel: nbgrader loses it, and says so in its status.
    grade = ("nbgrader", "autograde", "kernels")
    run(course, *grade, status=1)
    run(cold, *grade, status=1, JUPYTER_DEFAULT_PROVISIONER_NAME=COLD)
    origins, seen, scores = outcome(course)
    cold_origins, cold_seen, cold_scores = outcome(cold)
    assert (origins, seen, scores) == ({"'warm.py'"}, cold_seen, cold_scores)
    assert "'warm.py'" not in cold_origins
    expected = {"ends": "0.0", "fails": "0.0", "honest": "3.0", "leaves": "3.0", "loops": "3.0"}
    assert dict(scores) == expected
    assert seen.keys() == expected.keys() - {"ends"}
    assert "KeyboardInterrupt" in str(seen["loops"])


def test_nbgrader_validates_several_notebooks_from_one_warm_process(course):
    parents = "import os\nprint(os.getppid(), file=open('parents', 'a'))"
    for name in ("first.ipynb", "second.ipynb"):
        nbformat.write(notebook(parents, "two = 2"), course / name)
    done = run(course, "nbgrader", "validate", "first.ipynb", "second.ipynb")
    assert done.stdout.count("Success") == 2
    one, other = (course / "parents").read_text().split()
    assert one == other


def test_a_server_that_reads_the_configuration_keeps_its_kernels(course):
    program = (
        "import os, sys; sys.argv = ['jupyter-lab']\n"
        "from nbgrader.apps import NbGrader\n"
        "app = NbGrader(); app.load_config_file()\n"
        "assert app.config.Execute.timeout == 4\n"
        "from jupyter_client.provisioning import KernelProvisionerFactory\n"
        "print(KernelProvisionerFactory().default_provisioner_name)"
    )
    assert run(course, "python", "-c", program).stdout.strip() == COLD


def test_chapters_of_the_book_are_run_in_forked_kernels(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(assets, "vendor", lambda root: None)
    page = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n# Page\n\n```{{code-cell}}\n{}\n```\n"
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").write_text("title: Small\nonly_build_toc_files: true\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    (tmp_path / "book/index.md").write_text(page.format(ORIGIN))
    monkeypatch.setenv("MARK", str(tmp_path))
    html = build_book(tmp_path)
    assert "warm.py" in (html.parent / "book/index.html").read_text()
    assert not [each for each in psutil.process_iter() if belongs_to(tmp_path, each)]
