"""What a job is given by the daemon."""

import os
import re


def ldi_secret(name):
    """Returns a secret that the job was given (secrets = ["NAME"]); it can be read once.

    It comes through a pipe and never stands in the environment or in arguments: keep it so. A line
    end at its end is taken away. The job was not given it, or has read it: RuntimeError.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ValueError('"%s" is not the name of a secret; it has letters, digits and _' % name)
    descriptor = os.environ.get("LDI_SECRET_%s_FD" % name.upper(), "")
    if not descriptor.isdigit():
        raise RuntimeError('the job was not given %s; name it in its secrets = ["%s"]' % (name, name))
    try:
        with open(int(descriptor), encoding="utf-8", errors="surrogateescape") as pipe:
            secret = pipe.read(_LONGEST)
    except OSError:
        secret = ""
    if not secret:
        raise RuntimeError("%s was read before; keep it in a variable" % name)
    return secret[:-1] if secret.endswith("\n") else secret


# The most characters that a secret has.
_LONGEST = 32768
