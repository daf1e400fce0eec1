"""The benchmarks: one module each, with ``measure(quick)`` that gives its figures."""

CASES = {
    "steps": "what a step costs while a job is recorded, beside an OpenTelemetry span",
    "inactive": "what a step costs while nothing is recorded",
    "autotrace": "what autotraced functions cost, and importing them",
    "job": "what recording adds to a job of 5 ms with 50 steps",
    "submit": "handing a finished trace to the background writer",
    "replay": "replaying, recording and digesting a trace of 50 steps",
    "align": "aligning and walking two traces of 50 steps that differ",
    "payload": "10 MB in one value, with one row inserted",
    "siblings": "10,000 siblings of one name, all changed",
    "stored": "the size of a trace of 50 steps in a store",
    "mongo": "rows into a real MongoDB, and pages out of it",
    "s3": "blobs in a real S3 server",
    "production": "recording to a real MongoDB and S3: the job, a silent store, moving traces",
    "compared": "a step beside other recorders: time, and bytes that are kept",
    "commands": "starting the command line",
    "explain": "explaining a changed result: the command, and mixtures of old and new code",
    "shares": "explaining many changed traces at once, beside one by itself",
    "check": "checking many traces: beside bare replays, what it adds, its memory",
    "cluster": "replaying on a Dask cluster: two workers against one",
    "plugin": "the pytest plugin: loading, collecting, replaying, a large mismatch",
}
