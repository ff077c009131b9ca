"""What stands in nbgrader's own commands: a file for each slot that we fill.

`nbgrader_config.py` puts them there: `exporter` reads what was handed in, `referee` stands where
nbgrader's own `Execute` would run the cells, `save_scores` adds to `SaveAutoGrades` what nbgrader
has no rule for, `feedback` follows no link when the students' pages are written, and `markdown`
takes out of students' text what could act in a browser.
Everything before, between and after is nbgrader's.
"""
