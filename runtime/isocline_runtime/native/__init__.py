"""The native engine: the C source of an artifact, built on this machine and called through ctypes."""
