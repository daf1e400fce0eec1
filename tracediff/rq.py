"""``import tracediff.rq``: what RQ's workers execute in this process is recorded.

One line in a module that the worker imports before it forks. Under ``tracediff record`` it is not
needed.
"""

from tracediff.frameworks import watch

watch()
