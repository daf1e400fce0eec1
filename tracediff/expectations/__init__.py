"""What tests expect of a calculation: pinned traces, results that wait, what was accepted.

Its modules are imported one by one: reading a trace file needs hardly any of them.
"""
