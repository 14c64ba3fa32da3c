"""Scripted experts: they do a TaskScript through the arm's ordinary actions, and recover."""
