"""The formgrader, kept from what students handed in: an extension of the Jupyter server.

Whoever grades is logged in to that server, and may be led to any address on it by a link in a
message. So nbgrader's handlers (0.9.6) are put behind three questions here. Does an address hold
what a page would take for code? Is a file one of the submission that is open? And is the folder
whose configuration is to be run a course, and nothing that lies in one?
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attncourse.instructor.course.configuration import CONFIG

_EXTENSIONS = "nbgrader.server_extensions"
_TABLES = (
    "formgrader.handlers",
    "formgrader.apihandlers",
    "assignment_list.handlers",
    "course_list.handlers",
    "validate_assignment.handlers",
)
# nbgrader writes names into pages and scripts as they are, between double quotes where it quotes.
_CODE = re.compile(r'["<>\\\x00-\x1f\x7f]')


_Handler: Any = object  # one of nbgrader's, before which a guard stands


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _link_jupyter_server_extension(server: Any) -> None:
    """Take the handlers' places. The server links all extensions before it loads the first."""
    if find_spec("nbgrader") is None:  # a student's machine
        return
    tables = [import_module(f"{_EXTENSIONS}.{name}").default_handlers for name in _TABLES]
    try:
        _guard(tables)
    except Exception:
        for table in tables:
            table.clear()
        server.log.exception("nbgrader's pages are switched off: they could not be guarded")


def _load_jupyter_server_extension(server: Any) -> None:
    """Nothing is left to load; the server asks for it."""


def _guard(tables: list[list[Any]]) -> None:
    from jupyter_server.base.handlers import JupyterHandler
    from nbgrader.server_extensions.formgrader import (  # type: ignore[import-untyped]
        formgrader,
        handlers,
    )

    particular = {
        handlers.SubmissionFilesHandler: SubmissionFiles,
        handlers.FormgraderHandler: Start,
    }
    found = set()
    for table in tables:
        for number, (pattern, handler, *rest) in enumerate(table):
            if issubclass(handler, JupyterHandler) and not issubclass(handler, Checked):
                guard = particular.get(handler, Checked)
                found.add(guard)
                table[number] = (pattern, type(handler.__name__, (guard, handler), {}), *rest)
    # Nothing is found the second time that one process makes a server.
    if found and not found.issuperset(particular.values()):
        raise LookupError("the formgrader has other handlers than those that are known")
    # It puts the working folder on the path, where modules are looked for by name.
    formgrader.FormgradeExtension.init_syspath = lambda self: None


class Checked(_Handler):  # type: ignore[misc]
    """One of nbgrader's handlers, for addresses that hold no code."""

    async def prepare(self: Any) -> None:
        """As the handler's own.

        Raises:
            HTTPError: there is a character in a name that no name needs.
        """
        from tornado.web import HTTPError

        arguments = self.request.arguments.items()
        given = [*self.path_args, *self.path_kwargs.values()]
        # But a folder, which may have any name, and stands in no page.
        others = (values for name, values in arguments if name != "path")
        given += [value.decode(errors="replace") for values in others for value in values]
        if any(each and _CODE.search(each) for each in given):
            raise HTTPError(400, "a name in this address has a character that cannot be in one")
        await super().prepare()


class SubmissionFiles(Checked):
    """What lies beside a submission's notebook, and nothing that acts."""

    @property
    def content_security_policy(self: Any) -> str:
        """No script, and no part in the session."""
        return f"{super().content_security_policy}; sandbox"

    def parse_url_path(self: Any, url_path: str) -> str:
        """And the folder of the submission in `autograded/`, for `validate_absolute_path`."""
        submission, _, _ = url_path.lstrip("/").partition("/")
        self.root = super().parse_url_path(f"{submission}/")
        return str(super().parse_url_path(url_path))

    def validate_absolute_path(self: Any, root: str, absolute_path: str) -> str | None:
        """The file, if it lies in `root`: where links end, in both."""
        found = super().validate_absolute_path(
            os.path.realpath(root), os.path.realpath(absolute_path)
        )
        return None if found is None else str(found)


class Start(Checked):
    """Where the formgrader is opened, for a course that the address may name."""

    async def prepare(self: Any) -> None:
        """Refuse what is no course, with a line that says why."""
        await super().prepare()
        path = self.get_argument("path", "")
        if not path or self.current_user is None or self._finished:
            return
        course = Path(self.coursedir.root)
        is_course = (course / self.coursedir.source_directory).is_dir()
        try:
            if not _is_from_here(self):
                raise ValueError(
                    f"the course in {path} was asked for from outside JupyterLab; open it there"
                )
            shown = self.settings["nbgrader_formgrader"].root_dir
            confirm_course(path, shown=shown, current=str(course) if is_course else None)
        except ValueError as error:
            self.log.warning("formgrader: %s", error)
            self.set_status(403)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(f"{error}\n")


def _is_from_here(handler: Any) -> bool:
    """Whether a page of this server asks, or a program that has the token."""
    if handler.token_authenticated:
        return True
    if site := handler.request.headers.get("Sec-Fetch-Site"):
        return bool(site == "same-origin")
    # Without https, browsers say it of localhost alone.
    return "Referer" in handler.request.headers and bool(handler.check_referer())


def confirm_course(folder: str, *, shown: str, current: str | None) -> None:
    """See that the configuration in a folder may be run.

    Args:
        folder: what an address names.
        shown: the folder that the server shows.
        current: the root of the course that is open, if one is.

    Raises:
        ValueError: the folder is not among those that are shown, is no course, or belongs to one,
            as the folders do in which students' files lie.
    """
    # First as nbgrader reads it, which knows of no links; then where it leads.
    place = Path(os.path.realpath(os.path.abspath(folder)))
    if not place.is_relative_to(os.path.realpath(shown)):
        raise ValueError(f"{place} is not below {shown}, which is what JupyterLab shows")
    if not (place / CONFIG).is_file():
        raise ValueError(f"there is no {CONFIG} in {place}, so it is no course")
    courses = {os.path.realpath(current)} if current else set()
    for parent in place.parents:
        if str(parent) in courses or (parent / CONFIG).is_file():
            raise ValueError(f"{place} is a folder of the course in {parent}, and no course")
