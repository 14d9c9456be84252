"""One iteration of a model as a graph of its own: state in, state out."""
