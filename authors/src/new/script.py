# ldi: timeout=10m
"""@NAME@: say here in a sentence what it does."""

import os


def report():
    """Returns the lines to print."""
    return ["@NAME@: this is %s" % os.uname().nodename]


if __name__ == "__main__":
    print("\n".join(report()))
