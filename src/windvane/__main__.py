"""Makes `python -m windvane` do the same as the command `windvane`."""

from windvane.infra.cli.main import main

if __name__ == "__main__":
    main()
