"""`attncourse grade --scheduler`: on Dask workers in other processes, the same, and nobody lost."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path

import psutil
import pytest
from instructor.batch.batches import autograded, batch, wait_until
from instructor.batch.course_of_a_class import HALF_RIGHT, HALF_RIGHT_SCORES, PS, ROOT, ClassCourse
from instructor.batch.dask_cluster import DaskCluster, grading_process

from attncourse.cli import main
from attncourse.instructor.course.secret import course_seed

STUDENTS = 6


@pytest.fixture(scope="module")
def handed_in(generated_course, tmp_path_factory) -> ClassCourse:
    """A class has handed in, nothing is graded. To be copied, not changed."""
    course = generated_course.copied(tmp_path_factory.mktemp("handed-in") / "course")
    course.hand_in("untouched", {})
    course.hand_in("ends", {"pixels_as_tokens": "import os\nos._exit(0)"})
    course.place("broken").write_bytes(b"{")
    for number in range(STUDENTS - 3):
        course.hand_in(f"student-{number}", HALF_RIGHT)
    course_seed(course.folder)  # copies draw the same cases
    return course


@pytest.fixture(scope="module")
def graded(handed_in, tmp_path_factory) -> ClassCourse:
    """The same, graded by jobs on this machine."""
    course = handed_in.copied(tmp_path_factory.mktemp("graded") / "course")
    course.grade("--jobs", "2")
    return course


@pytest.fixture
def course(handed_in, tmp_path) -> ClassCourse:
    """A copy of one's own in which nothing is graded."""
    return handed_in.copied(tmp_path / "course")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler. Workers are started by the test."""
    with DaskCluster(tmp_path / "dask") as started:
        yield started


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """A scheduler and its two workers, for tests that leave all three as they are."""
    with DaskCluster(tmp_path_factory.mktemp("lasting") / "dask") as started:
        workers = [started.start_worker(), started.start_worker()]
        wait_until(lambda: all(map(grading_process, workers)), started.scheduler)
        yield started, workers


def names_below(process):
    """Of the processes that it has started, and they in turn."""
    names = set()
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            names.add(child.name())
    return names


def assert_same(course, graded):
    assert course.gradebook() == graded.gradebook()
    ours, theirs = (
        {path.relative_to(each.folder): text for path, text in autograded(each).items()}
        for each in (course, graded)
    )
    assert ours == theirs
    assert len(ours) == STUDENTS


def test_two_workers_leave_the_gradebook_and_notebooks_that_jobs_leave(course, graded, lasting):
    cluster, workers = lasting
    before = [grading_process(worker).cpu_times().user for worker in workers]
    course.grade("--scheduler", cluster.address)
    assert_same(course, graded)
    for worker, time in zip(workers, before, strict=True):
        assert grading_process(worker).cpu_times().user > time + 1, "it has graded nothing"
        wait_until(lambda w=worker: not grading_process(w).children(), worker)  # no nursery is left
    assert (
        f"{STUDENTS} of them graded before" in course.grade("--scheduler", cluster.address).stdout
    )


def test_a_worker_with_two_threads_grades_one_submission_after_the_other(course, graded, cluster):
    cluster.start_worker("--nthreads", "2")
    said = course.grade("--scheduler", cluster.address).stderr
    assert "of 2 threads on the Dask workers 1 will grade" in said
    assert_same(course, graded)


def test_the_course_s_secret_is_not_sent(course, lasting, monkeypatch):
    import distributed

    from attncourse.instructor.batch.cluster import Cluster
    from attncourse.instructor.batch.running import grade_problem_set
    from attncourse.instructor.course.configuration import Course

    cluster, _ = lasting
    sent = []
    submit = distributed.Client.submit

    def watched(client, function, parcel, **settings):
        sent.append(zlib.decompress(parcel))
        return submit(client, function, parcel, **settings)

    monkeypatch.setattr(distributed.Client, "submit", watched)
    with Cluster(cluster.address) as backend:
        grade_problem_set(Course(course.folder), PS, backend)
    assert len(sent) == STUDENTS
    secret = (course.folder / ".referee-secret").read_text().strip()
    seed = course_seed(course.folder)("student-0", "ps1.cosine_affinity")
    assert any(seed.encode() in each for each in sent)
    for each in sent:
        assert secret.encode() not in each
        assert bytes.fromhex(secret) not in each


def test_a_worker_that_is_killed_in_the_midst_costs_nobody_anything(course, graded, cluster):
    lost, _ = cluster.start_worker("--no-nanny"), cluster.start_worker()
    with batch(course, "--scheduler", cluster.address) as (process, _):
        wait_until(lambda: autograded(course), process)
        left_over = lost.children(recursive=True)
        lost.kill()
        assert process.wait(120) == 0, (course.folder / "said").read_text()
    assert_same(course, graded)
    assert not psutil.wait_procs(left_over, timeout=20)[1]


def test_a_submission_whose_workers_die_is_recorded_as_failed(generated_course, tmp_path):
    course = generated_course.copied(tmp_path / "course")
    course.hand_in("half-right", HALF_RIGHT)
    # The name of its process is all that students' code can show outside of the sandbox.
    code = "import ctypes, time\nctypes.CDLL(None).prctl(15, b'victim')\ntime.sleep(60)\n"
    course.hand_in("victim", {"cosine_affinity": code})
    killed = []

    def is_graded():
        """Whether the victim is, by a process that was not killed."""
        with contextlib.suppress(psutil.NoSuchProcess):  # it is just being replaced
            process = grading_process(worker)
            return process not in (None, *killed) and "victim" in names_below(process)
        return False

    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with DaskCluster(tmp_path / "dask", **settings) as cluster:
        worker = cluster.start_worker()
        with batch(course, "--scheduler", cluster.address) as (process, _):
            wait_until(lambda: course.scores("half-right") == HALF_RIGHT_SCORES, process)
            for _ in range(2):
                wait_until(is_graded, process)
                killed.append(grading_process(worker))
                killed[-1].kill()
            assert process.wait(120) == 0, (course.folder / "said").read_text()
    assert len(killed) == 2
    assert set(course.scores("victim").values()) == {0.0}
    said = (course.folder / "said").read_text()
    assert "grading failed (1)" in said
    assert "victim: Grading it failed twice: the Dask workers that it was sent to ended" in said


def test_killed_in_the_midst_it_goes_on_where_it_stopped(course, graded, lasting):
    cluster, _ = lasting
    with batch(course, "--scheduler", cluster.address) as (process, _):
        wait_until(lambda: len(autograded(course)) > 2, process)
        process.kill()
    assert "of them graded before" in course.grade("--scheduler", cluster.address).stdout
    assert_same(course, graded)


def test_a_scheduler_that_ends_in_the_midst_is_said_and_jobs_go_on(course, graded, cluster):
    cluster.start_worker()
    with batch(course, "--scheduler", cluster.address) as (process, _):
        wait_until(lambda: autograded(course), process)
        cluster.scheduler.kill()
        assert process.wait(120) == 1
    said = (course.folder / "said").read_text().splitlines()[-1]
    assert said.startswith(f"attncourse grade: the Dask scheduler at {cluster.address} has ended")
    assert said.endswith("the same command goes on where it stopped")
    assert "of them graded before" in course.grade("--jobs", "1").stdout
    assert_same(course, graded)


def refused(course, *options, words):
    done = course.grade(*options, check=False)
    assert done.returncode == 1
    assert_told_how_to_go_on(done.stderr, words)
    assert not autograded(course)


def assert_told_how_to_go_on(stderr, words):
    said = stderr.splitlines()[-1]
    assert said.startswith("attncourse grade: ")
    assert "Traceback" not in stderr
    for word in words:
        assert word in said


def test_an_address_where_no_scheduler_answers_is_refused(course):
    with socket.socket() as free:  # bound and not listening: a connection is refused
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        refused(course, "--scheduler", address, words=[address, "goes on where it stopped"])


@pytest.mark.parametrize(
    ("address", "words"),
    [("nonsense", "missing port number"), ("tls://127.0.0.1:1", "check your TLS configuration")],
)
def test_an_address_that_cannot_be_used_is_refused(course, address, words):
    refused(course, "--scheduler", address, words=[address, words])


def test_a_scheduler_without_workers_is_refused(course, cluster, monkeypatch, capsys):
    from attncourse.instructor.batch import cluster as backend

    monkeypatch.setattr(backend, "_WORKERS_TIMEOUT", 1.0)
    monkeypatch.chdir(course.folder)
    assert main(["grade", PS, "--scheduler", cluster.address]) == 1
    words = ["no workers", f"dask worker {cluster.address} --nthreads 1"]
    assert_told_how_to_go_on(capsys.readouterr().err, words)
    assert not autograded(course)


def test_a_worker_that_cannot_confine_students_code_is_refused(course, cluster):
    cluster.start_worker(PATH="")
    words = ["the Dask worker at tcp://127.0.0.1:", "bubblewrap is not installed", "--unsandboxed"]
    refused(course, "--scheduler", cluster.address, words=words)


def test_a_worker_that_would_show_the_exchange_to_students_code_is_refused(course, cluster):
    shown = Path(sysconfig.get_path("purelib")) / "exchange"
    with (course.folder / "nbgrader_config.py").open("a") as config:
        config.write(f"\nc.Exchange.root = {str(shown)!r}\n")
    cluster.start_worker()
    words = ["the Dask worker at tcp://127.0.0.1:", f"(Exchange.root), {shown}: it is in"]
    refused(course, "--scheduler", cluster.address, words=words)


def test_a_worker_with_another_version_is_refused(course, cluster, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(ROOT / "attncourse", other / "attncourse")
    with (other / "attncourse" / "experiments" / "training.py").open("a") as file:
        file.write("# changed\n")
    cluster.start_worker(PYTHONPATH=str(other))
    words = ["the Dask worker at tcp://127.0.0.1:", "another version of attncourse"]
    refused(course, "--scheduler", cluster.address, words=words)


def test_a_worker_with_another_library_is_refused(course, cluster, tmp_path):
    about = tmp_path / "other" / "nbformat-0.0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nbformat\nVersion: 0.0.1\n")
    cluster.start_worker(PYTHONPATH=f"{about.parent}{os.pathsep}{ROOT}")
    words = ["the Dask worker at tcp://127.0.0.1:", "nbformat 0.0.1 instead of", "constraints.txt"]
    refused(course, "--scheduler", cluster.address, words=words)


def test_a_cluster_without_a_sandbox_is_refused(course):
    words = ["--unsandboxed does not go with --scheduler", "reach the scheduler"]
    refused(course, "--scheduler", "127.0.0.1:1", "--unsandboxed", words=words)


def test_without_dask_the_extra_is_named(course):
    without = "import sys; sys.modules['distributed'] = None; from attncourse.cli import main; "
    done = subprocess.run(
        [sys.executable, "-c", f"{without}sys.exit(main(['grade', {PS!r}, '--scheduler', 'x:1']))"],
        cwd=course.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip install 'attncourse[cluster]'" in done.stderr


def test_jobs_and_a_scheduler_exclude_one_another(course):
    done = course.grade("--jobs", "2", "--scheduler", "127.0.0.1:1", check=False)
    assert done.returncode == 2
    assert "not allowed with argument --jobs" in done.stderr
