"""`python -m parse_clone`."""

from __future__ import annotations

from parse_clone.cli import main

main()
