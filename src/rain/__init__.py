"""RAIN: Region-Aware Interaction Networks.

A task is an ordered list of subtasks; each is an action type and a target region; one small
network knows how to do an action type to a region. ``docs/architecture.md`` draws the rooms.
"""

__version__ = "0.1.0"
