"""The formgrader, kept from what students handed in: an extension of the Jupyter server.

nbgrader 0.9.6 serves, beside a submission's page, any file of the course's folder, as a page of the
server's own; and it runs the `nbgrader_config.py` of whatever folder an address names. Both ask
for no more than that somebody who is logged in follows a link. Here a submission's page has the
files of its own folder in `autograded/`, in which no script runs, and a configuration is that of a
course's own folder.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attncourse.instructor.course.configuration import CONFIG


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _link_jupyter_server_extension(server: Any) -> None:
    """Take the place of two handlers. The server links all extensions before it loads the first."""
    if find_spec("nbgrader") is None:  # a student's machine
        return
    from nbgrader.server_extensions.formgrader import handlers  # type: ignore[import-untyped]
    from tornado import web

    class SubmissionFiles(handlers.SubmissionFilesHandler):  # type: ignore[misc]
        """What lies beside a submission's notebook, and nothing that acts."""

        @property
        def content_security_policy(self) -> str:
            return f"{super().content_security_policy}; sandbox"

        def parse_url_path(self, url_path: str) -> str:
            submission, _, _ = url_path.lstrip("/").partition("/")
            self.root = super().parse_url_path(f"{submission}/")  # its folder in autograded/
            return str(super().parse_url_path(url_path))

        def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
            # Of links the ends count, of the folder's own place as well.
            found = super().validate_absolute_path(
                os.path.realpath(root), os.path.realpath(absolute_path)
            )
            return None if found is None else str(found)

    class Formgrader(handlers.FormgraderHandler):  # type: ignore[misc]
        """The formgrader's start, for a course that its address may name."""

        @web.authenticated
        def get(self) -> None:
            if path := self.get_argument("path", ""):
                try:
                    confirm_course(
                        Path(path),
                        Path(self.settings["nbgrader_formgrader"].root_dir),
                        Path(self.coursedir.root),
                        self.request.headers.get("Sec-Fetch-Site"),
                    )
                except ValueError as error:
                    self.log.warning("formgrader: %s", error)
                    self.set_status(403)
                    self.set_header("Content-Type", "text/plain; charset=utf-8")
                    self.finish(f"{error}\n")
                    return
            super().get()

    ours = {
        handlers.SubmissionFilesHandler: SubmissionFiles,
        handlers.FormgraderHandler: Formgrader,
    }
    rules = handlers.default_handlers
    if missing := set(ours) - {rule[1] for rule in rules}:
        names = ", ".join(sorted(each.__name__ for each in missing))
        raise RuntimeError(f"this nbgrader's formgrader has no {names}; it would serve too much")
    rules[:] = [(rule[0], ours.get(rule[1], rule[1]), *rule[2:]) for rule in rules]


def _load_jupyter_server_extension(server: Any) -> None:
    """Nothing is left to load; the server asks for it."""


def confirm_course(folder: Path, shown: Path, current: Path, asked_from: str | None) -> None:
    """See that the configuration in a folder may be run.

    Args:
        folder: what an address names.
        shown: the folder that the server shows.
        current: the root of the course that is open.
        asked_from: what the browser says in `Sec-Fetch-Site`, if it says anything.

    Raises:
        ValueError: a page from elsewhere asks, or the folder belongs to a course, as those do in
            which students' files lie, or is not among those that are shown.
    """
    folder, shown, current = (Path(os.path.realpath(each)) for each in (folder, shown, current))
    if asked_from not in (None, "same-origin"):
        raise ValueError(
            f"the course in {folder} was asked for by an address from outside JupyterLab; open it "
            "from its menu"
        )
    if not folder.is_relative_to(shown):
        raise ValueError(f"{folder} is not below {shown}, which is what JupyterLab shows")
    inside = [each for each in folder.parents if each == current or (each / CONFIG).is_file()]
    if inside:
        raise ValueError(
            f"{folder} is a folder of the course in {inside[0]}, and no course; open {inside[0]}"
        )
