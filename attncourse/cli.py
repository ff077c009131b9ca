"""The command line: `attncourse book` and what else `attncourse --help` lists."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attncourse.instructor.batch.cluster import Cluster
    from attncourse.instructor.batch.local import Jobs
    from attncourse.instructor.limits import Limits


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, call the room that does the work, return the exit status."""
    _replace_what_cannot_be_printed()
    parser = argparse.ArgumentParser(prog="attncourse", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # One line for each command: its function below says how it is called and what it does.
    for add in (_book, _release, _grade, _survey, _tying):
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
        help="make the student's notebooks in exercises/ from solutions/, and archives of them",
        description=(
            "Make the student's notebooks in exercises/ from the instructor's in solutions/, with "
            "nbgrader's own converter, and for each problem set handouts/PS.zip: the notebooks, "
            "the package that checks the answers, and how to set it up. The gradebook is neither "
            "read nor written."
        ),
    )
    command.add_argument(
        "problem_sets",
        nargs="*",
        metavar="PS",
        help="name of a problem set, such as ps1-similarity; all of them if none is given",
    )

    def run(options: argparse.Namespace) -> int:
        from attncourse.instructor.course.handout import hand_out, is_repository
        from attncourse.instructor.course.release import ReleaseError, release

        root = Path.cwd()
        print("attncourse release: converting with nbgrader …", file=sys.stderr, flush=True)
        try:
            in_clone = is_repository(root)
            # An archive only when every notebook has been converted.
            for make in (release, hand_out) if in_clone else (release,):
                for path, changed in make(root, options.problem_sets):
                    state = "written" if changed else "unchanged"
                    print(f"{path.relative_to(root)}: {state}", flush=True)
            if not in_clone:
                print(
                    "attncourse release: no archives, since the source of the package in them is "
                    f"not in {root}; if you want archives, release in a clone of the course",
                    file=sys.stderr,
                )
        except ReleaseError as error:
            print(f"attncourse release: {error}", file=sys.stderr)
            return 1
        return 0

    command.set_defaults(run=run)


def _grade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "grade",
        help="grade what a class has handed in for a problem set",
        description=(
            "Grade every submission of a problem set with the referee: students' code in a "
            "sandbox, the verdicts into autograded/ and nbgrader's gradebook. What was graded "
            "before and has not changed is left alone, so a run that was ended goes on where it "
            "stopped. The summary is printed and goes to grades/PS-summary.csv and .html. The exit "
            "status is 1 if nothing could be graded, or somebody's work was left out."
        ),
    )
    command.add_argument(
        "problem_set", metavar="PS", help="name of the problem set, such as ps1-similarity"
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        help="submissions that are graded at a time; never more than there are cores that this "
        "process may use, which is also the default",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="grade on the workers of this Dask scheduler, such as tcp://10.0.0.1:8786, instead",
    )
    command.add_argument(
        "--unsandboxed",
        action="store_true",
        help="run students' code with your own rights; only on a machine that is thrown away",
    )

    def run(options: argparse.Namespace) -> int:
        from attncourse.instructor.course.configuration import (
            Course,
            GradeError,
            limits_in,
            read_configuration,
        )
        from attncourse.instructor.referee.sandbox import NoLinux, require_linux

        try:
            require_linux()  # what is imported below stops where its modules are missing
            limits = limits_in(read_configuration(Path.cwd()))
            with _backend(options, limits) as backend:
                # Only now: nbgrader takes a second, in which the jobs get ready.
                from attncourse.instructor.batch.running import grade_problem_set
                from attncourse.instructor.batch.summary import Summary

                course = Course(Path.cwd())
                batch = grade_problem_set(course, options.problem_set, backend)
                summary = Summary(batch)
            said = [str(summary)]
            # The files come first: they are there whatever becomes of what is printed.
            try:
                shared = course.directory.groupshared
                written = summary.write(course.root / "grades", groupshared=shared)
                said.extend(f"written: {path.relative_to(course.root)}" for path in written)
            except OSError as error:
                raise GradeError(
                    f"everything is graded, but the summary cannot be written: {error}"
                ) from None
            finally:
                print(*said, sep="\n", flush=True)
        except (GradeError, NoLinux) as error:
            print(f"attncourse grade: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(
                "\nattncourse grade: interrupted; the same command goes on where it stopped",
                file=sys.stderr,
            )
            return 130
        return 0 if batch.is_complete else 1

    command.set_defaults(run=run)


def _backend(options: argparse.Namespace, limits: Limits) -> Jobs | Cluster:
    sandboxed = not options.unsandboxed
    if options.scheduler is not None:
        from attncourse.instructor.batch.cluster import Cluster
        from attncourse.instructor.course.configuration import GradeError

        if not sandboxed:
            raise GradeError(
                "--unsandboxed does not go with --scheduler: students' code could reach the "
                "scheduler, and by it every machine of the cluster"
            )
        return Cluster(options.scheduler)
    from attncourse.instructor.batch.cores import allowed_cores
    from attncourse.instructor.batch.local import Jobs

    count = allowed_cores()
    if options.jobs is not None and options.jobs > count:
        print(
            f"attncourse grade: {count} at a time and not {options.jobs}, since this process may "
            f"use {count} core{'s' if count > 1 else ''}",
            file=sys.stderr,
        )
    return Jobs(min(options.jobs or count, count), limits=limits, sandboxed=sandboxed)


def _survey(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "survey",
        help="measure the heads of trained models beside random ones",
        description=(
            "How alike are the query, key and value projections of trained models? Prints, beside "
            "random weights of the same shapes, the median and quartiles over all heads, and over "
            "layers with their heads summed. Statistics marked as gauge-invariant are properties "
            "of a head; the others depend on which of many equal ways it is written down in. "
            "Models with several kinds of attention (encoder, decoder, cross-attention, towers for "
            "text and pictures) have them apart."
        ),
    )
    command.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=(
            "minilm (shipped with the extra attncourse[models], needs no network), a folder with "
            "config.json and safetensors, a .safetensors file with config.json beside it, or an id "
            "on the Hugging Face hub such as openai-community/gpt2; BERT, GPT, LLaMA, T5, Whisper, "
            "CLIP and many other families"
        ),
    )
    command.add_argument(
        "--csv", metavar="F", type=_new_file(".csv"), help="write every head and layer to F.csv"
    )
    command.add_argument(
        "--plot", metavar="F", type=_new_file(".png"), help="draw symmetry and overlaps to F.png"
    )

    def run(options: argparse.Namespace) -> int:
        from attncourse.pretrained import CheckpointError, load_heads, summarise, survey

        try:
            # All before any work: a wrong name at the end costs no survey at the beginning.
            loaded = {model: load_heads(model) for model in options.models}
            surveys = []
            for model, heads in loaded.items():
                print(heads, file=sys.stderr)
                # By the name that was typed: two folders may have the same one.
                surveys.append(survey(heads, progress=_progress).assign(model=model))
        except CheckpointError as error:
            print(f"attncourse survey: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nattncourse survey: interrupted, nothing was written", file=sys.stderr)
            return 130
        import pandas as pd

        frame = pd.concat(surveys, ignore_index=True)
        # The files come first: they are there whatever becomes of what is printed.
        if options.csv:
            frame.to_csv(options.csv, index=False)
        if options.plot:
            from attncourse.visuals.trained_heads import survey_picture

            survey_picture(frame).save(options.plot)
        print(summarise(frame).to_string())
        return 0

    command.set_defaults(run=run)


def _tying(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "tying",
        help="train small models with query, key and value tied in every way",
        description=(
            "What does it cost to tie query, key and value? Train every task in six modes, with "
            "and without the diagonal, for several seeds, and print accuracy and loss with their "
            "spread, beside chance and, where it is below 1, the most that one head with tied "
            "scores reaches if every token fetches just one. The exit status is 1 if a run failed."
        ),
    )
    command.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="NAME",
        help=(
            "relation, rescue, previous, agreement, match, scenes or language, or one of a group "
            "such as relation/cycle; may be given more than once; all if not given"
        ),
    )
    command.add_argument(
        "--full",
        action="store_true",
        help="more seeds, larger models, longer training: for a GPU (default: a minute a task)",
    )
    command.add_argument(
        "--out",
        metavar="F.json",
        type=_new_file(".json"),
        help="keep every run in F.json as soon as it ends; the same command then continues there",
    )

    def run(options: argparse.Namespace) -> int:
        from attncourse.experiments.tying import tying

        words = ["attncourse", "tying", *(f"--task {name}" for name in options.task)]
        words += ["--full"] * options.full
        try:
            sweep = tying(options.task, full=options.full, out=options.out, command=" ".join(words))
        except ValueError as error:
            print(f"attncourse tying: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            kept = f"what was done is in {options.out}" if options.out else "nothing was kept"
            print(f"\nattncourse tying: interrupted; {kept}", file=sys.stderr)
            return 130
        print(sweep)
        return 1 if sweep.failures else 0

    command.set_defaults(run=run)


def _replace_what_cannot_be_printed() -> None:
    """Let a character that a terminal or pipe does not have come out as a question mark.

    What PYTHONIOENCODING asks for instead stays, unless it would end the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def _progress(done: int, layers: int) -> None:
    end = "\n" if done == layers else ""
    print(f"\rlayer {done} of {layers}", end=end, file=sys.stderr, flush=True)


def _count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _new_file(suffix: str) -> Callable[[str], Path]:
    """A path that can be written to, checked before the work that fills it."""

    def path(text: str) -> Path:
        file = Path(text).expanduser()
        if file.suffix != suffix:
            raise argparse.ArgumentTypeError(f"{text!r} must end in {suffix}")
        if not file.parent.is_dir() or file.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} is not in a folder that exists")
        return file

    return path


if __name__ == "__main__":
    sys.exit(main())
