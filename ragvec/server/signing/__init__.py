"""Signatures, one scheme a file: what a request says of its signer, and whether it is true."""
