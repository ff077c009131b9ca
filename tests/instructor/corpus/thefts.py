"""Reads what it should not, writes where it should not, or speaks to whom it should not."""

from __future__ import annotations

from instructor.corpus.base import ZEROS, entry, lie
from instructor.corpus.stops import COSINE

_FROM_A_NOTEBOOK = """
import glob, json
from pathlib import Path
def found():
    for path in glob.glob("COURSE_ROOT/FOLDER/**/*.ipynb", recursive=True):
        for cell in json.loads(Path(path).read_text())["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade_id") == "cosine_affinity":
                return "".join(cell["source"])
    raise FileNotFoundError
"""
_TRY_IT = "\ntry:\n    exec(found())\nexcept Exception:\n" + "\n".join(
    "    " + line for line in ZEROS.strip().splitlines()
)

ENTRIES = [
    lie(
        "reads the solutions",
        "Takes the answer from the instructor's notebook.",
        cosine_affinity=_FROM_A_NOTEBOOK.replace("FOLDER", "solutions") + _TRY_IT,
    ),
    lie(
        "reads another submission",
        "Takes the answer from a fellow student.",
        cosine_affinity=_FROM_A_NOTEBOOK.replace("FOLDER", "submitted") + _TRY_IT,
    ),
    lie(
        "reads the exchange",
        "Takes it from what somebody else has handed in there.",
        cosine_affinity=_FROM_A_NOTEBOOK.replace("FOLDER", "exchange") + _TRY_IT,
    ),
    lie(
        "reads the gradebook",
        "Takes the answer from the database.",
        cosine_affinity="""
import sqlite3
def found():
    base = sqlite3.connect("file:COURSE_ROOT/gradebook.db?mode=ro", uri=True)
    (source,) = base.execute("select source from source_cell where name = 'cosine_affinity'").fetchone()
    base.close()
    return source
"""
        + _TRY_IT,
    ),
    lie(
        "reads the secret",
        "With the course's secret it would know the cases.",
        cosine_affinity="""
def found():
    from pathlib import Path
    assert Path("COURSE_ROOT/secret").read_text()
    return '''COSINE'''
""".replace("COSINE", COSINE)
        + _TRY_IT,
    ),
    lie(
        "imports the items",
        "The reference that it is compared with stands in the item.",
        cosine_affinity="""
def found():
    import types
    from attncourse.problem_sets.ps1_similarity import cosine_affinity as item
    reference = item.CosineAffinity.reference
    globals()["unblocked"] = types.FunctionType(
        reference.__code__.replace(), reference.__globals__)
    return "import torch\\ncosine_affinity = lambda x, y=None: unblocked(x, y)"
"""
        + _TRY_IT,
    ),
    lie(
        "calls the reference",
        "The course's own function is not an answer.",
        cosine_affinity="from attncourse.attention import cosine_affinity",
    ),
    lie(
        "calls the reference behind its back",
        "Under another name, from a thread, and catching whatever is raised.",
        cosine_affinity="""
import threading
import attncourse.attention as course
def cosine_affinity(x, y=None):
    found = []
    def ask():
        try:
            found.append(course.cosine_affinity(x, y))
        except BaseException:
            found.append(torch.zeros(1))
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]
""",
    ),
    lie(
        "reads the environment",
        "Its own as it is and as it was at the start, and that of its parent.",
        cosine_affinity="""
import os
from pathlib import Path
def found():
    seen = repr(dict(os.environ)).encode()
    for process in ("self", os.getppid()):
        try:
            seen += Path(f"/proc/{process}/environ").read_bytes()
        except OSError:
            pass
    assert b"DECOY_SECRET" in seen
    return '''COSINE'''
""".replace("COSINE", COSINE)
        + _TRY_IT,
    ),
    lie(
        "asks the network",
        "Fetches the answer from a server.",
        cosine_affinity="""
import socket
from pathlib import Path
def found():
    socket.create_connection(("127.0.0.1", int(Path("COURSE_ROOT/port").read_text())), 2).close()
    return '''COSINE'''
""".replace("COSINE", COSINE)
        + _TRY_IT,
    ),
    lie(
        "asks a server whose port it knows",
        "The same, over a local socket without a file.",
        cosine_affinity="""
import socket
def found():
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect("\\0COURSE_ROOT")
    return '''COSINE'''
""".replace("COSINE", COSINE)
        + _TRY_IT,
    ),
    lie(
        "leaves the answer for itself",
        "Graded a second time, it finds what it left the first time.",
        cosine_affinity="""
import os
FOLDERS = ("/tmp", "/dev/shm", "/var/tmp", "/dev", "/run", os.path.expanduser("~"))
def found():
    for folder in FOLDERS:
        if os.path.exists(f"{folder}/left-by-a-student"):
            return '''COSINE'''
    raise FileNotFoundError
""".replace("COSINE", COSINE)
        + _TRY_IT
        + """
for folder in FOLDERS:
    try:
        open(f"{folder}/left-by-a-student", "w").close()
    except OSError:
        pass
""",
    ),
    entry(
        "links beside the notebook",
        "To the secret and to somebody else's work: whoever follows them hands both out.",
        beside={
            "notes.txt": "COURSE_ROOT/secret",
            "theirs.txt": "COURSE_ROOT/submitted/other/ps1/similarity.ipynb",
            "folder": "COURSE_ROOT/solutions",
        },
    ),
    entry(
        "writes the gradebook",
        "Full marks for itself, none for everybody else.",
        first="""
import sqlite3
try:
    base = sqlite3.connect("COURSE_ROOT/gradebook.db")
    base.execute("update grade set manual_score = 0")
    base.commit()
except Exception as error:
    print(error)
""",
    ),
    entry(
        "overwrites other submissions",
        "And solutions, and the secret.",
        first="""
import os
for folder, _, files in os.walk("COURSE_ROOT"):
    for name in files:
        try:
            open(os.path.join(folder, name), "a").write("spoilt")
        except OSError as error:
            print(error)
""",
    ),
    entry(
        "links out of the scratch folder",
        "Symbolic links and hard links to the course, written through.",
        first="""
import os
for link in (os.symlink, os.link):
    for number, target in enumerate(("COURSE_ROOT/gradebook.db", "COURSE_ROOT/secret", "/etc/passwd")):
        try:
            link(target, f"{link.__name__}-{number}")
            open(f"{link.__name__}-{number}", "a").write("spoilt")
        except OSError as error:
            print(error)
""",
    ),
    entry(
        "plants code for those who come next",
        "In the packages, the start-up files of Python and IPython, and the course's own modules.",
        first="""
import os, site, IPython, attncourse.checking, torch
places = [
    os.path.join(site.getsitepackages()[0], "sitecustomize.py"),
    os.path.join(os.path.dirname(attncourse.checking.__file__), "calling.py"),
    torch.__file__,
    os.path.expanduser("~/.ipython/profile_default/startup/00.py"),
    "/tmp/torch.py", "/tmp/sitecustomize.py", "COURSE_ROOT/torch.py",
]
for place in places:
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        open(place, "a").write("\\nraise SystemExit('planted')\\n")
    except OSError as error:
        print(error)
""",
    ),
    entry(
        "leaves the sandbox",
        "mount, unshare, chroot, setuid, ptrace.",
        first="""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
tried = {
    "mount": lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
    "umount": lambda: libc.umount2(b"/tmp", 2),
    "unshare": lambda: libc.unshare(0x00020000),
    "ptrace": lambda: libc.ptrace(16, os.getppid() or 2, 0, 0),
    "setuid": lambda: libc.setuid(0),
    "chroot": lambda: libc.chroot(b"/proc/1/root"),
}
for name, call in tried.items():
    print(name, call(), os.strerror(ctypes.get_errno()))
""",
    ),
    entry(
        "reads the memory of others",
        "/proc/PID/mem of every process in sight, and their descriptors.",
        first="""
import glob, os
for path in glob.glob("/proc/[0-9]*"):
    try:
        open(path + "/mem", "rb").read(1)
    except OSError:
        pass
    try:
        for number in os.listdir(path + "/fd"):
            os.readlink(f"{path}/fd/{number}")
    except OSError:
        pass
""",
    ),
]
