"""Blobs in S3, or in a server that speaks its protocol; needs the extra ``s3``.

``address`` reads the URL, ``layout`` says under which object a blob is kept, ``clients`` makes
boto3's clients and is the only module that imports it, ``failures`` turns what they raise into
errors of this package, ``lifecycle`` and ``diagnosis`` serve ``tracediff init`` and ``doctor``.
"""

from tracediff.stores.s3.blobs import S3Blobs

__all__ = ["S3Blobs"]
