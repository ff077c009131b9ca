"""What stands in nbgrader's own commands: a file for each slot that we fill.

`nbgrader_config.py` puts them there: `exporter` reads what was handed in, `referee` stands where
nbgrader's own `Execute` would run the cells, `save_scores` adds to `SaveAutoGrades` what nbgrader
has no rule for, `feedback` follows no link when the students' pages are written, and `rendering`
makes HTML of what students wrote: in a process (`rendering_child`) that takes out what could act
in a browser (`markdown`), and that nothing waits for too long. `formgrader` is an extension of the
Jupyter server (`jupyter_server.json` says so to it), which serves no more than the page needs.
Everything before, between and after is nbgrader's.
"""
