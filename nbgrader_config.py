"""The repository is an nbgrader course: every `nbgrader …` command runs from its root."""

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
c.Autograde.exporter_class = "attncourse.instructor.pipeline.exporter.Submissions"
c.Autograde.autograde_preprocessors = [
    "attncourse.instructor.pipeline.referee.Referee",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "attncourse.instructor.pipeline.save_scores.SaveScores",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Links are not followed to what is copied into feedback/.
c.GenerateFeedback.exporter_class = "attncourse.instructor.pipeline.feedback.Feedback"

# What students wrote is shown in your browser, in the formgrader and in the feedback: without
# scripts, and whatever else could act there, and without keeping JupyterLab busy. By the names in
# nbconvert's templates; `clean_html` is what raw cells go through there, and `e` what formulas do.
c.HTMLExporter.filters = {
    "e": "attncourse.instructor.pipeline.rendering.formula",
    **{
        name: f"attncourse.instructor.pipeline.rendering.{name}"
        for name in ("markdown2html", "highlight_code", "ansi2html", "clean_html")
    },
}

# Seconds for a cell, and for all calls of a check; for a notebook, with what had to be run again;
# and GiB of memory for all processes of a notebook. `nbgrader autograde` and `attncourse grade`
# both read them. What else can be limited: `attncourse/instructor/limits.py`.
c.Referee.seconds = 90
c.Referee.total_seconds = 900
c.Referee.memory = 4

# Some items train: on two busy cores that takes longer than the 30 seconds of nbgrader's own
# `Execute`, for those who put it back. The referee does not read it.
c.Execute.timeout = 90
