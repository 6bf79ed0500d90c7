"""@NAME@: say here what these functions are for."""


def greeting(who="world"):
    """Returns a greeting to who."""
    return "hello %s" % who
