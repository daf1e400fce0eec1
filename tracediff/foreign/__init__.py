"""Traces of other tools: read into traces of this one, and steps written as theirs.

The modules map values to values and touch no file; ``reading`` and ``importing`` are the edge.
"""
