"""Hostile and broken submissions, with the score that each deserves.

Every entry is the same ordinary submission with one change. `python -m grading.corpus.compare`
(in `tests/`) grades all with stock nbgrader and with the referee, and prints a table.
"""

from grading.corpus import files, floods, forgeries, lies, oddities, stops, thefts

ENTRIES = [
    entry
    for each in (oddities, lies, forgeries, thefts, stops, floods, files)
    for entry in each.ENTRIES
]
