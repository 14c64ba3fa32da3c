"""Reason and Segment: from an instruction and camera images to subtasks and regions."""
