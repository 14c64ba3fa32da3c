"""The command ``rain``: one short file a command, no logic."""
