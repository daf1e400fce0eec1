"""``import tracediff.dramatiq``: the actors of this process are jobs where a worker runs them.

One line in a module that the worker imports. Under ``tracediff record`` it is not needed.
"""

from tracediff.frameworks import watch

watch()
