"""Trainings, comparisons and measurements as functions. What a command does it does by these; nothing here prints."""
