"""Active Directory and local accounts. What changes something needs root.

Domain, user and organisational unit come from conf/directory.conf, the password from the job's
secret ad_password, by hand from the file that LDI_AD_PASSWORD_FILE names, which only its owner may
read.
"""

import os
import re

import conf_tools
import shell_tools
import sys_tools
from sys_tools import NotSupported, act, macos_only


def bind_to_ad(loaner=False, hostname=None):
    """Joins this machine to the domain; leaves it first if it is a member.

    hostname: the computer's name in the domain; None: its own. loaner: kept for old callers,
    does nothing. Linux: by realmd, the password goes to its stdin. macOS: by dsconfigad, which
    takes a password only as an argument: other users can see it while the command runs.
    """
    settings = conf_tools.read("directory")
    missing = [key for key in ("domain", "user") if not settings.get(key)]
    if missing:
        raise RuntimeError("cannot join a domain: set %s in conf/directory.conf" % " and ".join(missing))
    domain, user, unit = settings["domain"], settings["user"], settings.get("ou")
    password = _password()
    # 15 characters is the most that a NetBIOS name has.
    name = (hostname or sys_tools.get_computer_name()).split(".")[0][:15]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", name):
        raise ValueError('"%s" cannot be a computer name; use letters, digits and -' % name)
    sys_tools.configure_time()
    if sys_tools.get_platform() == "macos":
        if is_bound_to_ad():
            act(["dsconfigad", "-force", "-remove", "-username", user, "-password", password], secret=password)
        command = ["dsconfigad", "-force", "-add", domain, "-computer", name, "-username", user]
        command += ["-ou", unit] if unit else []
        act(command + ["-password", password], secret=password)
        act(["dsconfigad", "-mobile", "enable", "-mobileconfirm", "disable"])
        return
    if is_bound_to_ad():
        act(["realm", "leave", domain])
    command = ["realm", "join", "--user=" + user, "--computer-name=" + name]
    command += ["--computer-ou=" + unit] if unit else []
    act(command + [domain], stdin=password + "\n", secret=password)


def is_bound_to_ad():
    """Returns whether this machine is a member of a domain: True, False or "unknown"."""
    if sys_tools.get_platform() == "macos":
        answer = shell_tools.run(["dsconfigad", "-show"], timeout=60)
        return "Active Directory Domain" in answer["stdout"] if answer["success"] else sys_tools.UNKNOWN
    answer = shell_tools.run(["realm", "list", "--name-only"], timeout=60)
    if answer["status"] == 127:
        # Joined by hand, without realmd.
        joined = os.path.exists("/etc/sssd/sssd.conf") and os.path.exists("/etc/krb5.keytab")
        return sys_tools.UNKNOWN if joined else False
    return bool(answer["stdout"]) if answer["success"] else sys_tools.UNKNOWN


def create_mobile_account(ad_account):
    """macOS: makes the local account of a directory user, and an administrator of it."""
    macos_only("create_mobile_account")
    _check_name(ad_account)
    tool = "/System/Library/CoreServices/ManagedClient.app/Contents/Resources/createmobileaccount"
    act([tool, "-n", ad_account])
    make_admin(ad_account)


def make_admin(username):
    """Makes a user an administrator: group admin on macOS, sudo or wheel on Linux."""
    _check_name(username)
    if sys_tools.get_platform() == "macos":
        act(["dseditgroup", "-o", "edit", "-a", username, "-t", "user", "admin"])
        return
    import grp

    groups = {group.gr_name for group in grp.getgrall()}
    for group in ("sudo", "wheel"):
        if group in groups:
            act(["usermod", "-a", "-G", group, username])
            return
    raise NotSupported("this machine has neither the group sudo nor wheel; name an administrator by hand")


def flush_ad_cache():
    """Forgets cached directory answers: dscacheutil on macOS, sss_cache on Linux."""
    if sys_tools.get_platform() == "macos":
        act(["dscacheutil", "-flushcache"])
    else:
        act(["sss_cache", "-E"])


def _check_name(name):
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*", name):
        raise ValueError('"%s" cannot be an account name' % name)


def _password():
    path = os.environ.get("LDI_AD_PASSWORD_FILE")
    if not path and "LDI_SECRET_AD_PASSWORD_FD" in os.environ:
        import job_tools

        return job_tools.ldi_secret("ad_password")
    if not path:
        raise RuntimeError('cannot join a domain: the job needs secrets = ["ad_password"], or LDI_AD_PASSWORD_FILE')
    with open(path, encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise PermissionError("%s can be read by others; chmod 600 it" % path)
        return file.readline(4096).rstrip("\r\n")
