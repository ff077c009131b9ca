"""A batch that is killed, and jobs that die: every score is there in the end, once."""

import os
import random
import signal
import time

from instructor.batch.batches import autograded, batch, wait_until
from instructor.batch.course_of_a_class import HALF_RIGHT, HALF_RIGHT_SCORES

KILLS = int(os.environ.get("ATTNCOURSE_KILLS", "3"))


def test_killed_at_random_moments_it_goes_on_to_the_same_scores(course, tmp_path):
    course.grade("--jobs", "1")
    course.sql("UPDATE grade SET manual_score = 1.5, needs_manual_grade = 0 WHERE auto_score = 3")
    course.sql("UPDATE comment SET manual_comment = 'well seen'")
    for number in range(max(4, KILLS)):
        course.hand_in(f"student-{number}", HALF_RIGHT if number % 3 == 0 else {})
    killed = course.copied(tmp_path / "killed")
    course.grade()

    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    for _ in range(KILLS):
        with batch(killed) as (process, _):
            before, more = len(autograded(killed)), chance.choice([0, 1, 1, 2])
            if more:
                wait_until(lambda b=before, m=more: len(autograded(killed)) >= b + m, process)
                time.sleep(chance.uniform(0, 0.1))
            else:
                time.sleep(chance.uniform(0, 4))
    killed.grade()
    assert killed.gradebook() == course.gradebook(), f"seed {seed}"
    ours = {path.relative_to(killed.folder): text for path, text in autograded(killed).items()}
    theirs = {path.relative_to(course.folder): text for path, text in autograded(course).items()}
    assert ours == theirs, f"seed {seed}"
    assert not list(killed.folder.glob("autograded/*/.*"))


def test_a_submission_whose_job_dies_is_tried_again_and_then_recorded_as_failed(course, tmp_path):
    def notes(student):
        """A cell that leaves a note of every time that it runs, and then takes long."""
        folder = tmp_path / student
        folder.mkdir()
        code = f"import tempfile, time\ntempfile.mkstemp(dir={str(folder)!r})\ntime.sleep(60)\n"
        course.hand_in(student, {**HALF_RIGHT, "cosine_affinity": code})
        return folder

    folder = notes("victim")
    # What a job runs must be able to leave a note outside, so: without a sandbox.
    with batch(course, "--jobs", "1", "--unsandboxed") as (process, started):
        for turn in (1, 2):
            wait_until(lambda t=turn: len(list(folder.iterdir())) == t, process)
            [job] = [
                job
                for server in process.children()
                for job in server.children()
                if "forkserver" in " ".join(job.cmdline())
            ]
            started |= set(job.children(recursive=True))
            job.kill()
        process.wait(120)
        assert process.returncode == 0, (course.folder / "said").read_text()
    assert len(list(folder.iterdir())) == 2
    assert course.scores("half-right") == HALF_RIGHT_SCORES
    assert set(course.scores("victim").values()) == {0.0}
    said = (course.folder / "said").read_text()
    assert "grading failed (1)" in said
    assert "victim: Grading it failed twice" in said


def test_a_second_batch_of_a_problem_set_is_refused_until_the_first_has_ended(course):
    # A submission that takes as long as the test wants it to.
    course.hand_in("slow", {"cosine_affinity": "import time\ntime.sleep(60)"})
    with batch(course, "--jobs", "1") as (process, started):
        wait_until(lambda: autograded(course), process)
        done = course.grade(check=False)
        assert done.returncode == 1
        assert "being graded already" in done.stderr
        started |= set(process.children(recursive=True))


def test_an_interrupt_says_how_to_go_on(course):
    with batch(course, "--jobs", "1") as (process, _):
        wait_until(lambda: autograded(course), process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
    said = (course.folder / "said").read_text()
    assert "Traceback" not in said
    assert course.grade().returncode == 0
    assert course.scores("half-right") == HALF_RIGHT_SCORES
