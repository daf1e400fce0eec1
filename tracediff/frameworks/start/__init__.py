"""The directory that ``tracediff record`` puts on the import path of what it starts."""
