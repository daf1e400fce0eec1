"""Speed and size, measured: ``python -m benchmarks``, or ``make bench``.

Each module of ``cases`` is one benchmark and runs in a process of its own. What it is measured
against (the floor, a peer, a bare interpreter) runs in the same process, in turns with it, because
the ratio of two figures means something on any machine.
"""
