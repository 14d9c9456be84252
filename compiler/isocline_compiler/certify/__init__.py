"""Proofs about a deployed model: how far it is from the true solution, from its float64 graph, and from instability."""
