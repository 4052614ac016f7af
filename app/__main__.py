"""Runs the command line: ``python -m app knowledge ask``."""

from app.cli import main

raise SystemExit(main())
