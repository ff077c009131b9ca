"""A PostgreSQL server of the tests' own: in a temporary folder, behind a socket in it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

USER = "postgres"  # made by the package; the server refuses to run as root


class NoServer(Exception):
    """There is no PostgreSQL that could be started; the message says why."""


class Server:
    """A server that can be stopped and started. A context manager."""

    def __init__(self):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parts[-2]))
        if not found and shutil.which("initdb") is None:
            raise NoServer("no PostgreSQL found (Debian: apt-get install postgresql)")
        self._programs = found[-1] if found else Path(shutil.which("initdb")).parent
        self._as = _ordinary_user() if os.geteuid() == 0 else {}
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path has to be short
        if self._as:
            os.chown(self._folder, self._as["user"], self._as["group"])
        self._run("initdb", "--auth=trust", f"--username={USER}", "--locale=C", "--encoding=UTF8")

    def _run(self, program, *options):
        said = self._folder / "said"
        with said.open("w") as file:  # not a pipe: the server inherits it, and keeps it open
            done = subprocess.run(
                [self._programs / program, "--pgdata", self._folder / "data", *options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=120,
                **self._as,
            )
        assert done.returncode == 0, said.read_text()

    def start(self):
        settings = f"-c listen_addresses='' -c unix_socket_directories={self._folder} -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "--wait", "--log", log, "--options", settings)

    def stop(self):
        """At once, as if its machine had lost power."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate")

    def address(self, database):
        """What nbgrader's `db_url` says; the password is not asked for, and nobody's."""
        return f"postgresql+psycopg://{USER}:open-sesame@/{database}?host={self._folder}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self._folder)


def _ordinary_user():
    try:
        account = pwd.getpwnam(USER)
    except KeyError:
        raise NoServer(f"PostgreSQL does not run as root, and there is no {USER}") from None
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
