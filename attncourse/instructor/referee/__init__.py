"""The referee: students' code in one process, and what judges it in another.

A *worker* runs the cells of one notebook and calls what they define. It is forked from the
*nursery*, which has torch and IPython loaded and has never seen an item, and is confined before
the first line of a student runs. The *judge* never runs a student's code: it sends inputs and
receives tensors and plain data over a `wire.Channel`, compares with the reference, and writes the
verdict into the notebook.
"""
