"""The recorder: jobs, steps, inputs and outputs become traces."""

from tracediff.recording.autotracing import autotrace
from tracediff.recording.jobs import Job, job, jobs
from tracediff.recording.propagation import propagate
from tracediff.recording.recorder import Recorder
from tracediff.recording.remarks import artifact, fail, ignore, note, now, random, tag, uuid4, warn
from tracediff.recording.rerun import run
from tracediff.recording.session import configure, flush
from tracediff.recording.wrappers import input, output, step

__all__ = [
    "Job",
    "Recorder",
    "artifact",
    "autotrace",
    "configure",
    "fail",
    "flush",
    "ignore",
    "input",
    "job",
    "jobs",
    "note",
    "now",
    "output",
    "propagate",
    "random",
    "run",
    "step",
    "tag",
    "uuid4",
    "warn",
]
