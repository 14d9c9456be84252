"""Whole models, from data to certificate. Run their scripts from the top folder: `python -m examples.digits.fetch`."""
