"""All that an instructor runs: nbgrader's commands with the referee in them, and whole classes."""
