"""Shared by all tests. Being here also lets them import ``helpers``."""
