"""The published book: its build, its Sphinx extension, its pictures and what its pages carry."""
