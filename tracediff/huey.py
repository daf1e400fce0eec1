"""``import tracediff.huey``: the tasks of this process's Huey instances are jobs.

One line in the module that makes the instance. Under ``tracediff record`` it is not needed.
"""

from tracediff.frameworks import watch

watch()
