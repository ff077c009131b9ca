"""The course that is graded, as nbgrader keeps it: where things are, what was set and handed in.

A submission may be anything. `submissions` reads it as bytes, and `sanitising` makes of it, and of
the problem set's own cells, a notebook that can be graded.
"""
