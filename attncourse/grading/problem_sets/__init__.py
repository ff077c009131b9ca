"""The items of every problem set, a file each. Importing this package registers them.

Nothing here may be seen by a process that runs a student's code: the sandbox hides this folder.
"""

from attncourse.grading.problem_sets import ps1_similarity as _1  # noqa: F401
from attncourse.grading.problem_sets import ps2_shared as _2  # noqa: F401
from attncourse.grading.problem_sets import ps3_query_key_value as _3  # noqa: F401
