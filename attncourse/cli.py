"""The command line: `attncourse book` and what else `attncourse --help` lists."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, call the room that does the work, return the exit status."""
    parser = argparse.ArgumentParser(prog="attncourse", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # One line for each command: its function below says how it is called and what it does.
    for add in (_book, _release):
        add(commands)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _book(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "book",
        help="build the book: run its cells, write its pages",
        description=(
            "Build the book of the course in this folder into _build/html. The first build fetches "
            "fonts and MathJax and runs every cell; a later one runs only the chapters whose cells "
            "changed, or nothing at all. A warning or a failing cell fails the build."
        ),
    )

    def run(options: argparse.Namespace) -> int:
        # Imported here: Sphinx takes a second, and the other commands need none of it.
        from attncourse.site.assets import AssetsError
        from attncourse.site.build import BookError, build_book

        try:
            build_book(Path.cwd())
        except (BookError, AssetsError) as error:
            print(f"attncourse book: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nattncourse book: interrupted; the next build starts anew", file=sys.stderr)
            return 130
        return 0

    command.set_defaults(run=run)


def _release(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "release",
        help="make the student's notebooks in exercises/ from solutions/",
        description=(
            "Make the student's notebooks in exercises/ from the instructor's in solutions/, with "
            "nbgrader's own converter. The gradebook is neither read nor written."
        ),
    )
    command.add_argument(
        "problem_sets",
        nargs="*",
        metavar="PS",
        help="name of a problem set, such as ps1-similarity; all of them if none is given",
    )

    def run(options: argparse.Namespace) -> int:
        from attncourse.grading.release import ReleaseError, release

        print("attncourse release: converting with nbgrader …", file=sys.stderr, flush=True)
        try:
            for notebook, changed in release(Path.cwd(), options.problem_sets):
                state = "written" if changed else "unchanged"
                print(f"{notebook.relative_to(Path.cwd())}: {state}", flush=True)
        except ReleaseError as error:
            print(f"attncourse release: {error}", file=sys.stderr)
            return 1
        return 0

    command.set_defaults(run=run)


if __name__ == "__main__":
    sys.exit(main())
