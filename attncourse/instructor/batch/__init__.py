"""A whole class at a time: every submission of a problem set refereed, nobody lost.

`running` finds what is to be graded and hands it to a backend: the jobs of this machine (`local`),
or a cluster (`cluster`). They read what was handed in and grade it (`grading`). What comes back
goes through one `writer` into autograded/ and the gradebook, and last of all into a record
(`records`): a submission without one is graded again.
"""

import sys

# Where the versions are not those of constraints.txt: jsonschema, which nbformat brings along,
# builds a grammar of international web addresses as soon as it finds this package, a second or two
# in every process, for a format that no notebook's schema has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
