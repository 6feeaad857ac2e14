"""`python -m windvane` is `windvane`."""

from windvane.infra.cli import main

if __name__ == "__main__":
    main()
