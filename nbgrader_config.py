"""The repository is an nbgrader course: every `nbgrader …` command runs from its root."""

c = get_config()  # noqa: F821  nbgrader puts it here

c.CourseDirectory.course_id = "attention"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"

c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("write your answer here, in place of this line")'
}

# The referee, in the two places that nbgrader leaves open: one reads whatever was handed in, the
# other runs and judges where nbgrader's `Execute` would stand. By name, since importing them here
# would load torch for every command. The preprocessors that follow are nbgrader's own.
c.Autograde.exporter_class = "attncourse.grading.referee.preprocess.Submissions"
c.Autograde.autograde_preprocessors = [
    "attncourse.grading.referee.preprocess.Referee",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Some items train: on two busy cores that takes longer than the 30 seconds of nbgrader's own
# `Execute`, for those who put it back.
c.Execute.timeout = 90
