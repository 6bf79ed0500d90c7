"""The Jamf agent (once Casper), where one is installed. macOS only."""

import os
import re
import shutil

import shell_tools
from sys_tools import act, macos_only

# A job's PATH may lack /usr/local/bin.
_JAMF = "/usr/local/bin/jamf"


def configure(username):
    """Tells Jamf whose Mac this is: an inventory with the person's name."""
    _act("recon", "-realname", username)


def recon():
    """Sends this Mac's inventory to Jamf."""
    _act("recon")


def flush_policies():
    """Makes Jamf forget which policies were run. Needs root."""
    _act("flushPolicyHistory")


def trigger_policy(policy):
    """Runs the Jamf policies of a trigger; returns whether that succeeded."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9 ._-]*", policy):
        raise ValueError('"%s" is not the trigger of a policy' % policy)
    return shell_tools.noop([_jamf(), "policy", "-event", policy])["success"]


def _act(*words):
    act([_jamf()] + list(words))


def _jamf():
    macos_only("jamf")
    found = shutil.which("jamf") or (os.access(_JAMF, os.X_OK) and _JAMF)
    if not found:
        raise RuntimeError("jamf is not on this machine; enrol the Mac")
    return found
