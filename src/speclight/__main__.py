"""`python -m speclight`: the command line, without the installed script."""

from speclight.cli.main import run

if __name__ == "__main__":
    run()
