"""``import tracediff.arq``: the functions that arq's workers run in this process are jobs.

One line in the module of the worker's settings. Under ``tracediff record`` it is not needed.
"""

from tracediff.frameworks import watch

watch()
