"""How many submissions are graded at a time, and that a crowded machine costs nobody points."""

import os
from argparse import Namespace

import pytest
from instructor.batch.course_of_a_class import HALF_RIGHT, HALF_RIGHT_SCORES, PS
from instructor.warm import environment, run_in_a_shell

from attncourse import cli
from attncourse.instructor.batch import cores, local
from attncourse.instructor.limits import DEFAULT_LIMITS

SLOW = """
import time
start = time.process_time()
while time.process_time() - start < 2:
    pass
"""


def machine(tmp_path, groups, kind, options, files, root="/"):
    """A `/proc/self` in a machine with control groups."""
    mounted = tmp_path / "sys"
    for name, text in files.items():
        (mounted / name).parent.mkdir(parents=True, exist_ok=True)
        (mounted / name).write_text(text)
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "mountinfo").write_text(
        f"22 1 0:21 / /proc rw - proc proc rw\n"
        f"31 23 0:28 {root} {mounted} rw,relatime shared:9 - {kind} cgroup {options}\n"
    )
    return tmp_path


V1 = ("4:memory:/a\n3:cpu,cpuacct:/docker/abc\n0::/a\n", "cgroup", "rw,cpu,cpuacct")
QUOTA_V1 = {"cpu.cfs_quota_us": "300000\n", "cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("groups", "kind", "options", "files", "root", "allowed"),
    [
        ("0::/\n", "cgroup2", "rw", {"cpu.max": "200000 100000\n"}, "/", 2),
        ("0::/\n", "cgroup2", "rw", {"cpu.max": "max 100000\n"}, "/", 8),
        ("0::/\n", "cgroup2", "rw", {"cpu.max": "250000 100000\n"}, "/", 2),
        ("0::/\n", "cgroup2", "rw", {"cpu.max": "50000 100000\n"}, "/", 1),
        ("0::/\n", "cgroup2", "rw", {"cpu.max": "6400000 100000\n"}, "/", 8),
        # The group's own, and that of one which it is in: the smaller one holds.
        ("0::/a/b\n", "cgroup2", "rw", {"a/cpu.max": "500000 100000\n"}, "/", 5),
        ("0::/a/b\n", "cgroup2", "rw", {"a/b/cpu.max": "3 1", "a/cpu.max": "5 1"}, "/", 3),
        ("0::/a/b\n", "cgroup2", "rw", {"a/b/cpu.max": "7 1", "a/cpu.max": "5 1"}, "/", 5),
        (*V1, QUOTA_V1, "/docker/abc", 3),
        (*V1, {f"docker/abc/{name}": text for name, text in QUOTA_V1.items()}, "/", 3),
        (*V1, {**QUOTA_V1, "cpu.cfs_quota_us": "-1\n"}, "/docker/abc", 8),
        ("3:cpu,cpuacct:/elsewhere\n", *V1[1:], QUOTA_V1, "/docker/abc", 3),
        ("4:memory:/\n", "cgroup", "rw,memory", QUOTA_V1, "/", 8),
    ],
)
def test_no_more_cores_are_used_than_the_process_is_allowed(
    monkeypatch, tmp_path, groups, kind, options, files, root, allowed
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(cores, "_PROCESS", machine(tmp_path, groups, kind, options, files, root))
    assert cores.allowed_cores() == allowed


def test_an_affinity_counts_and_so_does_none(monkeypatch, tmp_path):
    monkeypatch.setattr(cores, "_PROCESS", tmp_path / "without control groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 11})
    assert cores.allowed_cores() == 3


@pytest.mark.parametrize(
    ("asked", "count", "told"),
    [(None, 3, ""), (2, 2, ""), (3, 3, ""), (6, 3, "3 at a time and not 6, since")],
)
def test_no_more_jobs_run_than_there_are_cores_to_use(monkeypatch, capsys, asked, count, told):
    monkeypatch.setattr(cores, "allowed_cores", lambda: 3)
    monkeypatch.setattr(local, "Jobs", lambda count, **_: count)
    options = Namespace(jobs=asked, scheduler=None, unsandboxed=False)
    assert cli._backend(options, DEFAULT_LIMITS) == count
    said = capsys.readouterr().err
    assert told in said
    assert bool(told) == bool(said)


def test_on_one_core_of_six_every_student_has_the_points_of_one_alone(course, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import os\nos.cpu_count = lambda: 6\n")
    slow = {**HALF_RIGHT, "cosine_affinity": SLOW + HALF_RIGHT["cosine_affinity"]}
    students = ["half-right", "ada", "grace", "emmy"]
    for student in students:
        course.hand_in(student, slow)
    with (course.folder / "nbgrader_config.py").open("a") as config:
        config.write("\nc.Referee.seconds = 4\n")
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(ours)})
    try:
        done = run_in_a_shell(
            "attncourse", "grade", PS, cwd=course.folder, env=environment(PYTHONPATH=str(site))
        )
    finally:
        os.sched_setaffinity(0, ours)
    assert done.returncode == 0, done.stderr
    assert [course.scores(student) for student in students] == [HALF_RIGHT_SCORES] * 4
