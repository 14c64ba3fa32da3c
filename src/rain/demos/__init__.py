"""Demonstrations: episodes on disk, training samples, batches and feature caches."""
