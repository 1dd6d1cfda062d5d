"""`python -m smrdsl` is the command `smrdsl`."""

from smrdsl.cli.main import main

if __name__ == "__main__":
    main()
