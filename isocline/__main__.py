"""`python -m isocline` is the `isocline` command."""

from isocline.cli import main

main()
