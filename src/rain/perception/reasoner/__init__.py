"""Reason: an instruction becomes a script, a phrase becomes a box.

A ``Reasoner`` decomposes, a ``Grounder`` points. A vision-language model does both (``chat.py``,
with ``cosmos.py`` or ``endpoint.py`` behind it); a task registry (``registry.py``) and LIBERO's
annotations (``libero.py``) know the scripts of their tasks.
"""
