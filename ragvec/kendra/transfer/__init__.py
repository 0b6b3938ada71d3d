"""Documents in the form of Amazon Kendra's S3 connector: brought into an index, and written from one."""

from __future__ import annotations

from ragvec.kendra.transfer.bring import Brought, bring_documents
from ragvec.kendra.transfer.forms import Described, described_documents
from ragvec.kendra.transfer.write import write_documents

__all__ = ["Brought", "Described", "bring_documents", "described_documents", "write_documents"]
