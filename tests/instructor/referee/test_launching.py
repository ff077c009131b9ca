"""How a nursery starts: in the same state each time, or with a reason that says what to do."""

import os

import pytest

from attncourse.instructor.referee import sandbox as sandboxing
from attncourse.instructor.referee.sandbox import NoSandbox
from attncourse.instructor.referee.workers import Nursery

PRINTS_A_SET = 'print({f"token {number}" for number in range(20)})'


def printed(nursery):
    with nursery.start() as worker:
        return worker.run(PRINTS_A_SET, 30)


@pytest.mark.parametrize("sandboxed", [True, False])
def test_a_set_is_printed_in_the_same_order_by_every_nursery(nursery, sandboxed):
    with Nursery(sandboxed=sandboxed) as another:
        assert "token 3" in str(printed(another))
        assert printed(another) == printed(nursery)


@pytest.mark.parametrize(
    "said", ["setting up uid map: Permission denied", "loopback: Failed RTM_NEWADDR: Not permitted"]
)
def test_where_apparmor_forbids_the_sandbox_it_is_named_with_a_remedy(tmp_path, monkeypatch, said):
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(f"#!/bin/sh\necho 'bwrap: {said}' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(NoSandbox) as refused, Nursery() as nursery:
        nursery.ready()
    for words in (
        said,
        "AppArmor forbids it",
        "kernel.apparmor_restrict_unprivileged_userns",
        "profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }",
        "apparmor_parser -r /etc/apparmor.d/bwrap",
    ):
        assert words in str(refused.value)
    assert "docker" not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "said", "blamed"),
    [
        ("1\n", "unshare: Permission denied", True),
        ("1\n", "libseccomp is not installed", False),
        ("0\n", "unshare: Permission denied", False),
        (None, "unshare: Operation not permitted", False),
    ],
)
def test_apparmor_is_blamed_for_what_it_forbids(tmp_path, monkeypatch, setting, said, blamed):
    file = tmp_path / "setting"
    if setting:
        file.write_text(setting)
    monkeypatch.setattr(sandboxing, "_APPARMOR_SETTING", file)
    told = sandboxing.refused(f"no worker could be started: {said}")
    assert ("AppArmor" in told) == blamed
    assert ("docker" in told) != blamed
    assert "--unsandboxed" in told
