"""`python -m windvane` is `windvane`."""

from windvane.infra.cli.main import main

if __name__ == "__main__":
    main()
