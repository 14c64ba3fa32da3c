"""LIBERO-EX as a benchmark of AI2's vla-eval, and RAIN as one of its model servers."""
