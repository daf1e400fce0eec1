"""What a store needs in S3 before it is used: buckets, and rules that let objects expire.

Each retention class has one rule a bucket: objects beneath ``<days>d/<prefix>/`` expire a day after
these days, so that no trace goes early. It also ends uploads in parts that nobody finished, and
``keep`` has a rule that does only this. Rules with other ids are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tracediff.errors import StoreError
from tracediff.stores.retention import KEEP
from tracediff.stores.s3.address import Address
from tracediff.stores.s3.clients import Clients, ExpectedError

OWN = "tracediff-"
ABORT_DAYS = 3
_NO_RULES = frozenset({"NoSuchLifecycleConfiguration", "404"})


def rules(address: Address, retentions: Iterable[int]) -> list[dict[str, Any]]:
    """The rules that a bucket needs for these days of retention, and for what is kept."""
    classes = [(f"{days}d", days) for days in sorted(set(retentions))]
    return [_rule(address.prefix, *one) for one in [(KEEP, 0), *classes]]


def _rule(prefix: str, retention: str, days: int) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "ID": f"{OWN}{retention}-{prefix}",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{retention}/{prefix}/"},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_DAYS},
    }
    return rule | {"Expiration": {"Days": days + 1}} if days else rule


def existing(clients: Clients, bucket: str) -> list[dict[str, Any]]:
    """The rules that a bucket has."""
    try:
        answer = clients.ask(
            "get_bucket_lifecycle_configuration",
            f"read the lifecycle rules of bucket {bucket}",
            expecting=_NO_RULES,
            Bucket=bucket,
        )
    except ExpectedError:
        return []
    found: list[dict[str, Any]] = answer.get("Rules", [])
    return found


def lacking(wanted: Sequence[dict[str, Any]], there: Sequence[dict[str, Any]]) -> list[Any]:
    """Those rules that are not there as they must be."""
    known = {rule.get("ID"): _essence(rule) for rule in there}
    return [rule for rule in wanted if known.get(rule["ID"]) != _essence(rule)]


def _essence(rule: dict[str, Any]) -> tuple[object, ...]:
    prefix = rule.get("Filter", {}).get("Prefix", rule.get("Prefix"))
    abort = rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")
    return rule.get("Status"), prefix, rule.get("Expiration", {}).get("Days"), abort


def prepare(
    clients: Clients, address: Address, retentions: Iterable[int], dry_run: bool
) -> list[str]:
    """Show, and unless ``dry_run`` make, what is missing.

    Args:
        clients: Whom to ask.
        address: The buckets.
        retentions: The retention classes in use, in days.
        dry_run: Only show it.

    Returns:
        A line for each thing that is made, or that others made and that is kept beside it.
    """
    wanted = rules(address, retentions)
    said: list[str] = []
    for bucket in address.buckets:
        missing = not _is_there(clients, bucket)
        if missing:
            said.append(f"make bucket {bucket}")
        if missing and not dry_run:
            _make(clients, address, bucket)
        there = [] if missing else existing(clients, bucket)
        new = lacking(wanted, there)
        ours = {rule["ID"] for rule in wanted}
        others = [rule for rule in there if rule.get("ID") not in ours]
        if new:
            said += [f"keep in bucket {bucket} {_shown(rule)}" for rule in others]
        said += [f"set in bucket {bucket} {_shown(rule)}" for rule in new]
        if new and not dry_run:
            _set(clients, bucket, others + wanted)
    return said


def _shown(rule: dict[str, Any]) -> str:
    _, prefix, days, abort = _essence(rule)
    what = [f"expire after {days} days"] if days else []
    what += [f"unfinished uploads end after {abort} days"] if abort else []
    return (
        f"rule {rule.get('ID')}: {prefix or 'all objects'}: {', '.join(what) or 'another action'}"
    )


def _is_there(clients: Clients, bucket: str) -> bool:
    try:
        # Not head_bucket: its answer does not say which permission is missing.
        clients.ask("list_objects_v2", f"list bucket {bucket}", Bucket=bucket, MaxKeys=1)
    except StoreError as error:
        if error.slug == "bucket-missing":
            return False
        raise
    return True


def _make(clients: Clients, address: Address, bucket: str) -> None:
    place: dict[str, Any] = {}
    if address.endpoint is None and address.region not in (None, "us-east-1"):
        place = {"CreateBucketConfiguration": {"LocationConstraint": address.region}}
    clients.ask(
        "create_bucket",
        f"make bucket {bucket}",
        expecting=("BucketAlreadyOwnedByYou",),
        Bucket=bucket,
        **place,
    )


def _set(clients: Clients, bucket: str, all_rules: list[dict[str, Any]]) -> None:
    clients.ask(
        "put_bucket_lifecycle_configuration",
        f"set the lifecycle rules of bucket {bucket}",
        Bucket=bucket,
        LifecycleConfiguration={"Rules": all_rules},
    )
