"""Running a recorded job again with its recorded inputs. It fails closed."""

from tracediff.replay.engine import Replayed, replay, replay_here
from tracediff.replay.matching import RecordedServer

__all__ = ["RecordedServer", "Replayed", "replay", "replay_here"]
