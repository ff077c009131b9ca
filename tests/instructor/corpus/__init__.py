"""Hostile and broken submissions, with the score that each deserves.

Every entry is the same ordinary submission with one change, or with something beside it. `make
corpus` grades all with stock nbgrader and with the referee, and keeps the table that the instructor
guide shows.
"""

from instructor.corpus import files, floods, forgeries, lies, oddities, pages, stops, thefts

KINDS = {
    "odd, and right": oddities.ENTRIES,
    "deceives the comparison": lies.ENTRIES,
    "speaks to the judge": forgeries.ENTRIES,
    "steals or damages": thefts.ENTRIES,
    "crashes, or never ends": stops.ENTRIES,
    "uses up the machine": floods.ENTRIES,
    "broken files": files.ENTRIES,
    "acts in the browser": pages.ENTRIES,
}
ENTRIES = [entry for entries in KINDS.values() for entry in entries]
