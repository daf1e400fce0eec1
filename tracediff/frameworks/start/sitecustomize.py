"""Run by each Python that ``tracediff record`` starts, before the program.

It lets the ``sitecustomize`` run that it stands before, and then sets the hooks. An interpreter
that has no tracediff runs its program all the same.
"""

import importlib
import os
import sys


def _chain() -> None:
    """Import the module of this name that would be there without this one."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - few imports
    sys.path[:] = [one for one in sys.path if os.path.abspath(one or ".") != here]  # noqa: PTH100 - as above
    own = sys.modules.pop("sitecustomize", None)
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        if own is not None:
            sys.modules["sitecustomize"] = own


def _start() -> None:
    try:
        from tracediff.frameworks.starting import start
    except ImportError:  # another environment, which has no tracediff
        return
    start()


try:
    _chain()
finally:
    _start()
