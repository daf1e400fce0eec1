"""Pages: what the server shows and the one-file reports hold, from the same templates.

A view (``traceview``, …) is frozen and holds what a page shows, already put into words; a template
lays it out. Nothing here reads a store, a file outside of the package, or a request.
"""
