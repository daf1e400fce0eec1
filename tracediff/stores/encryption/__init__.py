"""Encryption at rest: payloads in envelopes, whose keys are in the environment alone."""

from tracediff.stores.encryption.keyring import (
    NO_KEYS,
    EnvelopeError,
    Keyring,
    keyring_of_environment,
)

__all__ = ["NO_KEYS", "EnvelopeError", "Keyring", "keyring_of_environment"]
