"""`ragvec serve`: one store, answered to the vendors' own SDKs over HTTP.

`dialects/` turns each service's requests into calls and outcomes into its replies, `signing/` verifies who asks,
`policy/` decides what they may, `handle.py` puts the three together, and what is ASGI is above it. Everything below
the ASGI application works on plain values and runs without a socket.
"""
