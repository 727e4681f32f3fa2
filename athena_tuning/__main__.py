"""``python -m athena_tuning``: the command line."""

from __future__ import annotations

from athena_tuning.cli import main

if __name__ == "__main__":
    main(prog_name="athena-tuning")
