"""Blobs in a real S3 do what all blobs must."""

from __future__ import annotations

import hashlib

import pytest

from tracediff.stores.s3 import S3Blobs
from tracediff.testing import BlobsConformance


class TestS3Blobs(BlobsConformance):
    @pytest.fixture(autouse=True)
    def _server(self, s3_url, prefix):
        self.url = s3_url
        self.prefix = prefix

    def make_blobs(self, directory):
        name = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
        return S3Blobs(self.url(f"{self.prefix}/{name}"))
