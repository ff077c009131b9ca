"""A class may be as large as it likes: no process of a batch keeps anything of a submission."""

import contextlib
import shutil
from collections import defaultdict

import psutil
from instructor.batch.batches import autograded, batch, wait_until

STUDENTS = 72
EARLY, LATE = range(12, 24), range(60, STUDENTS + 1)  # submissions that are done by then
CHATTY = "for _ in range(900):\n    print('x' * 100)"
CELLS = (
    "cosine_affinity",
    "pixels_as_tokens",
    "pixel_affinity",
    "attention_weights",
    "raw_attention",
)
SIZE = len(CELLS) * 90_000  # bytes that an autograded notebook has at least


def test_neither_memory_nor_open_files_grow_with_the_number_of_submissions(
    generated_course, tmp_path
):
    course = generated_course.copied(tmp_path / "course")
    course.hand_in("student-0", dict.fromkeys(CELLS, CHATTY))
    for number in range(1, STUDENTS):
        shutil.copy(course.place("student-0"), course.place(f"student-{number}"))

    most = {when: defaultdict(lambda: (0, 0)) for when in (EARLY, LATE)}

    def looked_at(process):
        done = len(autograded(course))
        for when in (EARLY, LATE):
            if done in when:
                for each in (process, *process.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        now = (each.memory_info().rss, each.num_fds())
                        most[when][each.pid] = tuple(map(max, most[when][each.pid], now))

    with batch(course, "--jobs", "1") as (process, _):
        wait_until(lambda: looked_at(process), process)
        assert process.wait(60) == 0, (course.folder / "said").read_text()

    lasting = most[EARLY].keys() & most[LATE].keys()
    assert len(lasting) >= 4  # the command, the job, the nursery, its branch for the job
    submissions = LATE[0] - EARLY[-1]
    for pid in lasting:
        (memory, files), (memory_later, files_later) = most[EARLY][pid], most[LATE][pid]
        assert memory_later - memory < submissions * SIZE / 2
        assert files_later - files < submissions / 2
    assert all(path.stat().st_size > SIZE for path in course.folder.glob("autograded/*/*/*.ipynb"))
