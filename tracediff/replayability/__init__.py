"""Which traces of a job replay exactly, why others do not, and what to write so that they will."""
