"""Derivatives of graphs as graphs: of operations, of solves, of loops, of samples, and as files."""
