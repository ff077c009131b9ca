"""Reference implementations, figures and graders of the course on query, key and value."""
