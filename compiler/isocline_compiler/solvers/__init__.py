"""What takes a solve to steps: schemes, grids, and the forms that steps take in a graph."""
