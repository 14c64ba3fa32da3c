"""Clients that speak other protocols: openpi's over WebSockets, GR00T's over ZeroMQ.

Each is a translator in the server's own process. To the server it is a client like any other, with
the same limits, in the same batches.
"""
