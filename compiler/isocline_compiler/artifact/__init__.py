"""The folder that is written: files, manifest."""
