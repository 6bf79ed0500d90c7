"""Talking to web services."""


def auth_init(theurl, username, password):
    """Returns an opener (urllib.request) that logs in to theurl by HTTP basic authentication.

    opener.open(address) then answers for addresses below theurl. The password would travel in
    clear over http://, so that is refused except to this machine itself.
    """
    import urllib.parse
    import urllib.request

    parts = urllib.parse.urlsplit(theurl)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ValueError("%s would carry the password in clear; use https://" % theurl)
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, theurl, username, password)
    return urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
