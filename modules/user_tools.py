"""Asking the person at the terminal. An end of input raises EOFError."""


def prompt(detail, integer=False, max_length=None):
    """Asks for detail until the answer fits and is confirmed; returns it.

    integer: only a whole number is taken, and an int is returned
    max_length: the most characters that are taken
    """
    hint = " (%d characters at most)" % max_length if max_length else ""
    while True:
        response = input("Enter %s%s: " % (detail, hint)).strip()
        if not response:
            continue
        if max_length and len(response) > max_length:
            print("That is %d characters; at most %d are possible." % (len(response), max_length))
            continue
        if integer:
            try:
                int(response)
            except ValueError:
                print("That is not a whole number.")
                continue
        print("Your response for %s: %s" % (detail, response))
        if input("Is that correct? [y/n]: ").strip().lower() == "y":
            return int(response) if integer else response


def binary_prompt(prompt=None):
    """Asks a question until the answer is y or n; returns True for y."""
    responses = {"y": True, "n": False}
    while True:
        response = input("%s [y/n]: " % (prompt or "Do you want to proceed?")).strip().lower()
        if response in responses:
            return responses[response]
