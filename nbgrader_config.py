"""The repository is an nbgrader course: every `nbgrader …` command runs from its root."""

c = get_config()  # noqa: F821  nbgrader puts it here

c.CourseDirectory.course_id = "attention"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"

c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("write your answer here, in place of this line")'
}

# Some items train: on two busy cores that takes longer than nbgrader's 30 seconds.
c.Execute.timeout = 90
