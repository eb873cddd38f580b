"""`python -m mfa_operator`: the same as the command `mfa-operator`."""

from mfa_operator.cli import main

if __name__ == "__main__":
    main()
