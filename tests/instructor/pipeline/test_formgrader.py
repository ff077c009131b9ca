"""Which folders are courses that the formgrader may open, and that it is guarded or not there."""

import asyncio
import logging
from importlib import import_module
from types import SimpleNamespace

import pytest
from nbgrader.server_extensions.formgrader import formgrader as opening
from nbgrader.server_extensions.formgrader import handlers
from tornado.web import HTTPError, StaticFileHandler

from attncourse.instructor.pipeline import formgrader as guarding
from attncourse.instructor.pipeline.formgrader import Checked, confirm_course

CONFIG = "nbgrader_config.py"


@pytest.fixture
def shown(tmp_path):
    """A folder with two courses, one with students' work, and a folder beside it."""
    shown = tmp_path / "home"
    for folder in ("a/submitted/eve/ps1", "b", "deep/down/below"):
        (shown / folder).mkdir(parents=True)
        (shown / folder / CONFIG).write_text("")
    (shown / "a" / CONFIG).write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / CONFIG).write_text("")
    (shown / "link").symlink_to(shown / "deep" / "down")
    (shown / "out").symlink_to(tmp_path / "other")
    return shown


@pytest.mark.parametrize("folder", ["a", "b", "a/../b", "deep/down/below", "a/"])
def test_a_course_is_opened(shown, folder):
    confirm_course(f"{shown}/{folder}", shown=str(shown), current=None)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("a/submitted/eve/ps1", "is a folder of the course in"),
        ("a/submitted", "there is no nbgrader_config.py"),
        ("deep", "there is no nbgrader_config.py"),
        ("../other", "is not below"),
        ("out", "is not below"),
        # To nbgrader `link/..` is the folder in which the link lies, wherever it leads.
        ("link/../a/submitted/eve/ps1", "is a folder of the course in"),
    ],
)
def test_what_is_no_course_of_its_own_is_not(shown, folder, reason):
    with pytest.raises(ValueError, match=reason):
        confirm_course(f"{shown}/{folder}", shown=str(shown), current=None)


def test_a_folder_of_the_open_course_is_none_wherever_its_configuration_lies(shown):
    (shown / "a" / CONFIG).unlink()
    folder = str(shown / "a/submitted/eve/ps1")
    confirm_course(folder, shown=str(shown), current=str(shown / "b"))
    with pytest.raises(ValueError, match="is a folder of the course in"):
        confirm_course(folder, shown=str(shown), current=str(shown / "a"))


class Handler(Checked):
    """A guard before nothing, with an address of one name and one argument."""

    def __init__(self, name, **argument):
        self.path_args, self.path_kwargs = [name], {}
        arguments = {key: [value.encode()] for key, value in argument.items()}
        self.request = SimpleNamespace(arguments=arguments)


class Passed(Exception):
    """It has come to the handler itself."""


async def passes(_):
    raise Passed


@pytest.mark.parametrize(
    ("name", "argument", "outcome"),
    [
        ("ps1-similarity", {"version": "0.9.6"}, Passed),
        ("Zoë O'Brien & co", {"path": r"C:\a <b>"}, Passed),
        *((f"a{sign}b", {}, HTTPError) for sign in '"<>\\\n\x7f'),
        ("ps1", {"version": "<b>"}, HTTPError),
    ],
)
def test_a_name_with_a_sign_of_code_comes_to_no_handler(name, argument, outcome):
    guarded = type("Guarded", (Handler, type("Base", (), {"prepare": passes})), {})
    with pytest.raises(outcome):
        asyncio.run(guarded(name, **argument).prepare())


@pytest.fixture
def tables(monkeypatch):
    """nbgrader's tables of handlers as it brings them, for the time of a test."""
    monkeypatch.setattr(opening.FormgradeExtension, "init_syspath", None)
    for name in guarding._TABLES:
        module = import_module(f"{guarding._EXTENSIONS}.{name}")
        monkeypatch.setattr(module, "default_handlers", list(module.default_handlers))
    return handlers


def link(caplog):
    guarding._link_jupyter_server_extension(SimpleNamespace(log=logging.getLogger("server")))
    return caplog.text


def test_every_page_of_the_formgrader_is_guarded_and_once(tables, caplog):
    before = [rule[0] for rule in tables.default_handlers]
    assert link(caplog) == ""
    once = list(tables.default_handlers)
    assert [rule[0] for rule in once] == before
    unguarded = {rule[1] for rule in once if not issubclass(rule[1], Checked)}
    assert unguarded == {StaticFileHandler}  # of the files that are its own
    assert link(caplog) == ""
    assert tables.default_handlers == once


def test_where_it_cannot_be_guarded_it_is_not_there(tables, caplog, monkeypatch):
    rules = [rule for rule in tables.default_handlers if rule[1] is not handlers.FormgraderHandler]
    monkeypatch.setattr(handlers, "default_handlers", rules)
    assert "switched off" in link(caplog)
    assert handlers.default_handlers == []
