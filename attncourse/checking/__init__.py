"""The engine that a student meets: tries a function on cases, scores it, names the mistake.

It knows no item: it is given one, and something that calls the student's function.
"""
