"""The repository is an nbgrader course: every `nbgrader …` command runs from its root."""

import os
import sys

c = get_config()  # noqa: F821  nbgrader puts it here

c.CourseDirectory.course_id = "attention"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"

c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("write your answer here, in place of this line")'
}

# The referee, in the places that nbgrader leaves open: one reads whatever was handed in, one runs
# and judges where nbgrader's `Execute` would stand, one enters the scores. By name, since importing
# them here would load torch for every command. The other preprocessors are nbgrader's own.
c.Autograde.exporter_class = "attncourse.grading.autograding.Submissions"
c.Autograde.autograde_preprocessors = [
    "attncourse.grading.autograding.Referee",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "attncourse.grading.autograding.SaveScores",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# A student's Markdown is shown in your browser, in the formgrader and in the feedback: without
# scripts, and whatever else could act there.
c.HTMLExporter.filters = {"markdown2html": "attncourse.grading.inert.markdown2html"}

# Seconds for a cell, and for all calls of a check; and for a notebook, with what had to be run
# again. `nbgrader autograde` and `attncourse grade` both read them.
c.Referee.seconds = 90
c.Referee.total_seconds = 900

# Some items train: on two busy cores that takes longer than the 30 seconds of nbgrader's own
# `Execute`, for those who put it back. The referee does not read it.
c.Execute.timeout = 90

# `Execute` starts a kernel for each notebook: let them be forked from one process that has loaded
# the libraries. Not in a Jupyter server, which reads this file too: its kernels are for people.
if sys.argv[1:2] in (["autograde"], ["validate"]):
    os.environ.setdefault("JUPYTER_DEFAULT_PROVISIONER_NAME", "attncourse-warm")
