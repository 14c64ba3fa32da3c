"""LIBERO-EX: 75 tasks made of LIBERO's scenes, and the states that their episodes start from."""
