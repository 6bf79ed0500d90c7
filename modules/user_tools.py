"""Asking the person at the terminal (an end of input raises EOFError), telling the one at the console."""


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


def ldi_notify(title, message):
    """Shows a notification to the person at the console; returns whether it could.

    By notify-send on that person's session bus, by osascript on macOS; needs root or that person's
    account. Nobody is there, or it could not be shown: a sentence on stderr and False.
    """
    import os
    import pwd
    import sys

    import fact_tools
    import shell_tools
    import sys_tools

    user = fact_tools.ldi_fact("console_user")
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        print('ldi_notify: nobody is at the console; "%s" was not shown' % title, file=sys.stderr)
        return False
    if sys_tools.get_platform() == "macos":
        script = ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"]
        command = ["osascript"] + [word for line in script for word in ("-e", line)] + ["--", title, message]
        wrapped = ["launchctl", "asuser", str(uid), "sudo", "-n", "-u", user, "--"] + command
    else:
        bus = "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/%d/bus" % uid
        command = ["env", bus, "notify-send", "--", title, message]
        wrapped = ["runuser", "-u", user, "--"] + command
    answer = shell_tools.noop(command if os.geteuid() == uid else wrapped, timeout=20)
    if not answer["success"]:
        print('ldi_notify: "%s" could not be shown to %s: %s' % (title, user, answer["stderr"]), file=sys.stderr)
    return answer["success"]
