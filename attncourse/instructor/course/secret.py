"""What the cases of the record are drawn from: a secret of the course, the student and the item.

Nobody can know the cases beforehand, and a regrade draws the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from attncourse.instructor.course.sharing import SECRET_RIGHTS, advice, share_file

NAME = ".referee-secret"


class SecretError(Exception):
    """The course's secret cannot be used; the message says why and what to do."""


def course_seed(root: Path, *, groupshared: bool = False) -> Callable[[str, str], str]:
    """A function of student and item: the seed of this item's cases, for `grade_notebook`.

    Args:
        root: the course. The secret is kept there in `.referee-secret`, readable to the owner
            alone, and is made the first time that it is asked for.
        groupshared: whether the group may read it too.

    Raises:
        SecretError: the file cannot be made or read, or does not hold a secret.
    """
    secret = _secret(root / NAME, groupshared=groupshared)

    def seed(student: str, item: str) -> str:
        message = json.dumps([student, item]).encode()
        return hmac.new(secret, message, hashlib.sha256).hexdigest()

    return seed


def _secret(path: Path, *, groupshared: bool) -> bytes:
    try:
        if not path.exists():
            _make(path, groupshared=groupshared)
        if groupshared:  # also one that was made before the course was shared
            share_file(path, SECRET_RIGHTS)
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        why = f"the course's secret {path} cannot be made or read: {error}"
        if isinstance(error, PermissionError) and path.exists():
            why += advice(path, "g+r")
        raise SecretError(why) from None
    except ValueError:
        secret = b""
    if len(secret) < 16:
        raise SecretError(
            f"{path} does not hold a secret. Restore it from a copy, so that a regrade draws the "
            "same cases, or delete it, and a new one is made"
        )
    return secret


def _make(path: Path, *, groupshared: bool) -> None:
    # Written aside and linked: a second process finds the whole secret that the first one made.
    descriptor, name = tempfile.mkstemp(prefix=NAME, dir=path.parent)  # readable to the owner alone
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            if groupshared:
                os.fchmod(descriptor, SECRET_RIGHTS)
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
