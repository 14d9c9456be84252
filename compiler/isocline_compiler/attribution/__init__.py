"""Explanations of an output by the inputs, built on the deployed steps."""
