"""Policies and regions over the network: the wire protocol, servers, and a light client."""
