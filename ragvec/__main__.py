"""`python -m ragvec` is the command line."""

from ragvec.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
