"""Running a recorded job again with its recorded inputs. It fails closed."""

from tracediff.replay.engine import Replayed, replay, replay_here
from tracediff.replay.matching import RecordedServer
from tracediff.replay.revisions import checked_out, environment_at
from tracediff.replay.whatif import WhatIf, what_ifs

__all__ = [
    "RecordedServer",
    "Replayed",
    "WhatIf",
    "checked_out",
    "environment_at",
    "replay",
    "replay_here",
    "what_ifs",
]
