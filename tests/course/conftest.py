"""The course as an instructor runs it needs the sandbox that students' code runs in."""

from instructor.conftest import sandbox

__all__ = ["sandbox"]
