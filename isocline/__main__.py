"""`python -m isocline` is the `isocline` command."""

from isocline.program import main

main()
