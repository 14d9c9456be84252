"""Learned schemes: how they are learned, chosen, and what is measured of them."""
