"""A whole class at a time: every submission of a problem set refereed, nobody lost.

`running` hands submissions to jobs, processes with a warm nursery each. A job *reads* what was
handed in (`submissions`), puts the problem set's own cells back in (`sanitising`) and *grades* it
(`grading`). What comes back goes through one writer into autograded/ and nbgrader's gradebook
(`gradebook`), and last of all into a record (`records`): a submission without one is graded again.
"""
