"""An action and its resource in the words of every service, so that a policy means the same whichever of them asks.

A bucket is one and the same through all services: who may not read its vectors through S3 Vectors may not read them
through another either. So a statement is compared with a request in every wording, that of the request first.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ragvec.api.dialects import COS, OSS, S3, TOS
from ragvec.server.policy.patterns import glob

__all__ = ["action_is_known", "actions", "index_of", "resources", "unaliased"]

_VECTORS = ("PutVectors", "GetVectors", "ListVectors", "QueryVectors", "DeleteVectors")
_POLICY = ("PutVectorBucketPolicy", "GetVectorBucketPolicy", "DeleteVectorBucketPolicy")
_BUCKETS = ("GetVectorBucket", "ListVectorBuckets", "DeleteVectorBucket")
_TAGS = ("TagResource", "UntagResource", "ListTagsForResource")
_MODES = ("UpdateIndexMode", "PutVectorBucketDefaultIndexMode", "UpdateMetadataConfiguration")

_AS_S3 = {name: name for name in (*_VECTORS, *_POLICY, *_BUCKETS, "CreateVectorBucket")} | {
    name: name for name in ("CreateIndex", "GetIndex", "ListIndexes", "DeleteIndex")
}
_PUT_AND_INDEX = {name: name for name in (*_VECTORS, *_POLICY, *_BUCKETS)} | {
    "CreateVectorBucket": "PutVectorBucket",
    "CreateIndex": "PutVectorIndex",
    "GetIndex": "GetVectorIndex",
    "ListIndexes": "ListVectorIndexes",
    "DeleteIndex": "DeleteVectorIndex",
}
_OSS = _PUT_AND_INDEX | {name: name.replace("VectorBucket", "Bucket") for name in _POLICY}

_WORDS: dict[str, dict[str, str]] = {
    "s3vectors:": _AS_S3 | {name: name for name in (*_TAGS, *_MODES)},
    "oss:": _OSS,
    "ossvector:": _OSS,
    "name/cos:": _PUT_AND_INDEX,
    "tosvectors:": _AS_S3,
}
"""By the prefix of a service's actions, its word for each action of S3 Vectors."""

_ALIASES = {"cos:": "name/cos:", "cosvector:": "name/cos:", "name/cosvector:": "name/cos:"}

_MEANINGS = {
    (prefix + word).lower(): meaning for prefix, words in _WORDS.items() for meaning, word in words.items()
} | {
    # Words of OSS for the same through its fusion operations.
    f"{prefix}{word}".lower(): meaning
    for prefix in ("oss:", "ossvector:")
    for word, meaning in (("PutVectorIndexFusion", "CreateIndex"), ("QueryVectorsFusion", "QueryVectors"))
}
_OF_ONE_SERVICE = tuple(
    f"{prefix}{verb}BucketLogging".lower() for prefix in ("oss:", "ossvector:") for verb in ("Put", "Get", "Delete")
)


@lru_cache(maxsize=1024)
def actions(action: str) -> tuple[str, ...]:
    """This action in the words of every service that has it, in small letters, its own first."""
    own = unaliased(action)
    meaning = _MEANINGS.get(own)
    if meaning is None:
        if own.startswith(("oss:", "ossvector:")):
            name = own.partition(":")[2]
            return own, f"{'ossvector' if own.startswith('oss:') else 'oss'}:{name}"
        return (own,)
    others = [(prefix + words[meaning]).lower() for prefix, words in _WORDS.items() if meaning in words]
    return tuple(dict.fromkeys([own, *others]))


def unaliased(action: str) -> str:
    """An action, or a pattern of some, in small letters and with the usual prefix of its service."""
    lowered = action.lower()
    for alias, prefix in _ALIASES.items():
        if lowered.startswith(alias):
            return prefix + lowered[len(alias) :]
    return lowered


def action_is_known(pattern: str, *, elsewhere: bool = False) -> bool:
    """Whether a pattern of a policy means any action that there is here; with `elsewhere`, or may mean one of a service
    that is not here, or of which not all is."""
    lowered = unaliased(pattern)
    if elsewhere and not lowered.startswith(("s3vectors:", "tosvectors:")):
        return True
    return any(glob(lowered, known) for known in (*_MEANINGS, *_OF_ONE_SERVICE))


def index_of(resource: str, bucket: str) -> str | None:
    """The name of the index that the name of a resource within this bucket tells; None: it is the bucket's own."""
    found = re.search(rf"[:/]{re.escape(bucket)}/index/(.+)$", resource, re.DOTALL)
    return None if found is None else found[1]


def resources(resource: str, bucket: str | None, account: str, region: str) -> tuple[str, ...]:
    """The names of a bucket or an index in every service, as `resource` first; with `bucket` None, those of the account
    as a whole."""
    if resource.startswith("arn:aws:kendra:"):
        return (resource,)
    names = [resource]
    if bucket is None:
        whole = {"region": region, "account": account, "bucket": "*"}
        names += [each.bucket_arn.format(**whole) for each in (OSS, COS, TOS)]
        names += [f"qcs::cosvector::uid/{account}:bucket/*", f"qcs::cosvector:uid/{account}:bucket/*"]
        return tuple(dict.fromkeys(names))
    index = index_of(resource, bucket)
    parts = {"region": region, "account": account, "bucket": bucket}
    tail = "" if index is None else f"/index/{index}"
    names += [each.bucket_arn.format(**parts) + tail for each in (S3, TOS)]
    # With a slash at the end: `bucket/b/*` means the bucket itself too, in the policies of OSS and COS.
    for end in ("", "/"):
        inner = f"{bucket}{tail}{end}"
        names += [
            f"acs:ossvector:{region}:{account}:{inner}",
            f"acs:ossvector:{region}:{account}:bucket/{inner}",
            f"qcs::cosvector:{region}:uid/{account}:bucket/{inner}",
            f"qcs::cosvector::uid/{account}:bucket/{inner}",
            f"qcs::cosvector:uid/{account}:bucket/{inner}",
        ]
    return tuple(dict.fromkeys(names))
