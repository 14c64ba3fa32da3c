"""Benchmarks: rollouts in closed loop, records, scores and videos."""
