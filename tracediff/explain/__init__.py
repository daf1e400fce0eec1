"""Why a result changed: proof that the recording holds, and the code and commit behind a change."""
