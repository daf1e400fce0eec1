"""The one place that turns what S3 and its client say into a ``StoreError``.

A message holds our own words, the server's error code and the HTTP status, never the server's text:
that may quote access keys, signatures and signed URLs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tracediff.errors import StoreError

MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
TAKEN = frozenset({"PreconditionFailed", "412"})
CLASHED = frozenset({"ConditionalRequestConflict", "409"})
BEYOND = frozenset({"InvalidRange", "416"})

_CODE = re.compile(r"[A-Za-z0-9_.]{1,60}")
CREDENTIALS = frozenset(
    "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken InvalidToken TokenRefreshRequired "
    "InvalidSecurity NotSignedUp AuthFailure UnrecognizedClientException".split()
)
CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
DENIED = frozenset(
    "AccessDenied AccessDeniedException 401 403 Forbidden Unauthorized AllAccessDisabled "
    "AccountProblem".split()
)
BUSY = frozenset(
    "SlowDown SlowDownRead SlowDownWrite ServiceUnavailable InternalError InternalFailure "
    "Throttling ThrottlingException RequestThrottled TooManyRequests RequestLimitExceeded "
    "RequestTimeout OperationAborted BandwidthLimitExceeded ServerBusy 429 500 502 503 504".split()
)
HURT = frozenset(
    "BadDigest InvalidDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch "
    "IncompleteBody".split()
)
ELSEWHERE = frozenset(
    "PermanentRedirect TemporaryRedirect AuthorizationHeaderMalformed 301 307 "
    "IllegalLocationConstraintException".split()
)
FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"})
_NO_CREDENTIALS = frozenset(
    "NoCredentialsError PartialCredentialsError CredentialRetrievalError ProfileNotFound "
    "TokenRetrievalError SSOError UnauthorizedSSOTokenError RefreshWithMFAUnsupportedError "
    "LoginError InvalidConfigError ConfigParseError ConfigNotFound".split()
)
_HINT_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role; "
    "tracediff doctor says what they may do"
)
_HINT_UNREACHABLE = "check the network and the endpoint; what is not sent yet stays where it is"


def code_of(error: BaseException) -> str:
    """The server's error code, or the HTTP status where it gave none; empty for other errors."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code") or "")
    if not _CODE.fullmatch(code):
        code = str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    return code


def store_error(error: BaseException, doing: str) -> StoreError:
    """The StoreError for what boto3 raised.

    Args:
        error: What it raised.
        doing: What was being done and to what: "put blob a/b into bucket traces-a".
    """
    if isinstance(getattr(error, "response", None), dict):
        return answered(code_of(error), doing)
    names = {kind.__name__ for kind in type(error).__mro__}
    return next(one for one in _RAISED if not one.codes or names & one.codes).about(
        doing, type(error).__name__
    )


def answered(code: str, doing: str) -> StoreError:
    """The StoreError for an error code of the server's."""
    known = next((one for one in _ANSWERED if code in one.codes), None)
    if known is None and re.fullmatch(r"5\d\d", code):
        known = _FAILING
    return (known or _REFUSED).about(doing, code if _CODE.fullmatch(code) else "no code")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What error codes of the server's, or classes of the client's, mean; none stand for any."""

    codes: frozenset[str] = frozenset()
    why: str
    slug: str
    hint: str

    def about(self, doing: str, code: str) -> StoreError:
        return StoreError(f"cannot {doing}: {self.why} ({code})", slug=self.slug, hint=self.hint)


_FAILING = _Failure(
    codes=BUSY,
    why="the server is too busy or has failed",
    slug="store-busy",
    hint="try again a little later; what is not sent yet stays where it is",
)
_REFUSED = _Failure(
    why="the server refuses it",
    slug="store-refused",
    hint="check the endpoint, the region and the options of its URL; the code is the server's own",
)
_ANSWERED = (
    _FAILING,
    _Failure(
        codes=frozenset({"NoSuchBucket"}),
        why="there is no such bucket",
        slug="bucket-missing",
        hint="check its name, the endpoint and the region, or make it with tracediff init",
    ),
    _Failure(
        codes=CREDENTIALS,
        why="the server does not accept the credentials",
        slug="store-denied",
        hint=_HINT_CREDENTIALS,
    ),
    _Failure(
        codes=CLOCK,
        why="this machine's clock differs too much from the server's",
        slug="store-denied",
        hint="set the clock, with NTP for instance",
    ),
    _Failure(
        codes=DENIED,
        why="these credentials may not do it",
        slug="store-denied",
        hint="give them the permission; who may not list a bucket is also told this of a missing "
        "object",
    ),
    _Failure(
        codes=HURT,
        why="the bytes did not arrive as they were sent",
        slug="blob-hurt",
        hint="try again; if it stays so, look for a proxy or a network card that changes bytes",
    ),
    _Failure(
        codes=FULL,
        why="the server has no room",
        slug="store-full",
        hint="make room there, or raise its quota",
    ),
    _Failure(
        codes=frozenset({"KeyTooLongError", "KeyTooLong"}),
        why="the object's key is too long for this server",
        slug="blob-key-invalid",
        hint="use a shorter prefix or key",
    ),
    _Failure(
        codes=frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"}),
        why="the server does not know this request",
        slug="store-refused",
        hint="use a server with conditional puts (If-None-Match), lifecycle rules and range reads",
    ),
    _Failure(
        codes=ELSEWHERE,
        why="the bucket is in another region",
        slug="store-refused",
        hint="add region=… to its URL",
    ),
)
_RAISED = (
    _Failure(
        codes=_NO_CREDENTIALS,
        why="there are no usable credentials",
        slug="store-denied",
        hint=_HINT_CREDENTIALS,
    ),
    _Failure(
        codes=frozenset({"SSLError"}),
        why="the connection cannot be trusted",
        slug="store-unreachable",
        hint="check the server's certificate, or AWS_CA_BUNDLE",
    ),
    _Failure(
        codes=frozenset({"NoRegionError", "InvalidRegionError"}),
        why="no region is set",
        slug="store-refused",
        hint="add region=… to its URL",
    ),
    _Failure(
        codes=frozenset({"ParamValidationError", "ValidationError", "MissingParametersError"}),
        why="the client does not take it",
        slug="store-refused",
        hint="check the options of its URL",
    ),
    _Failure(
        codes=frozenset({"ConnectTimeoutError", "ReadTimeoutError", "TimeoutError"}),
        why="no answer came in time",
        slug="store-unreachable",
        hint=_HINT_UNREACHABLE,
    ),
    _Failure(
        why="the server cannot be reached",
        slug="store-unreachable",
        hint=_HINT_UNREACHABLE,
    ),
)


def blob_hurt(key: str, why: str) -> StoreError:
    """A blob whose bytes are not what was put: ``blob-hurt``."""
    return StoreError(
        f"the stored bytes of blob {key} are hurt: {why}",
        slug="blob-hurt",
        hint="the other blobs stay readable; put it again from where it came",
    )


def blob_exists(key: str) -> StoreError:
    """A blob that is written once and is there already, with other bytes: ``blob-exists``."""
    return StoreError(
        f"blob {key} is there already, with other bytes",
        slug="blob-exists",
        hint="segments and dictionaries are never replaced: put it under another key",
    )


def no_client(error: ImportError) -> StoreError:
    """boto3 is not installed: ``store-driver``."""
    return StoreError(
        f"blobs in S3 need boto3, which cannot be imported: {error}",
        slug="store-driver",
        hint="install this package with its extra s3",
    )


def inherited() -> StoreError:
    """A client that was handed over, in a process that was forked since: ``store-driver``."""
    return StoreError(
        "the S3 client that was handed over belongs to the process that made it",
        slug="store-driver",
        hint="hand over a function that makes a client; it is called once in each process",
    )
