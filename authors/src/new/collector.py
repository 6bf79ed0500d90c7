"""@NAME@: {kernel}. Say here what it collects; "unknown" stands for what cannot be told."""

import json
import os


def collect():
    """Returns what was found."""
    return {"kernel": os.uname().release or "unknown"}


if __name__ == "__main__":
    print(json.dumps(collect(), sort_keys=True))
