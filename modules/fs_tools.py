"""Files and folders."""

import os

import shell_tools

# The most that read_file and get_pickle take into memory.
MAX_READ = 64 * 1024 * 1024


def copy(target, destination):
    """Copies the file or folder target to destination.

    A file: to the path destination, or into it if that is a folder. A folder: its content into
    destination, which is made if needed; what is there already stays unless it has the same
    name. Symbolic links inside a folder are copied as links.
    """
    import shutil

    if os.path.isdir(target):
        shutil.copytree(target, destination, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy(target, destination)


def create_file(filename):
    """Makes an empty file and the folders above it; one that exists only gets a new time."""
    mkdir(os.path.dirname(filename))
    with open(filename, "a"):
        os.utime(filename)


def diff_replace(dst_file, src_file, verbose=False, mode=0o644, backup=True):
    """Makes dst_file equal to src_file.

    The same content: nothing happens, returns False. Else the old file is kept as
    dst_file.fs_tools.bak (with backup), dst_file is replaced in one step and gets mode and the
    old owner; returns True. A symbolic link is followed. No src_file: FileNotFoundError. Under
    LDI_NOOP=1 nothing is written.
    """
    import filecmp
    import shutil

    if not os.path.isfile(src_file):
        raise FileNotFoundError("%s does not exist; %s was left as it is" % (src_file, dst_file))
    target = os.path.realpath(dst_file)
    exists = os.path.exists(target)
    if exists and not os.path.isfile(target):
        raise ValueError("%s is not a regular file; it was left as it is" % dst_file)
    if exists and filecmp.cmp(target, src_file, shallow=False):
        if verbose:
            print("%s and %s are the same" % (dst_file, src_file))
        return False
    if shell_tools.would("replace %s by %s" % (dst_file, src_file)):
        return True
    if exists and backup:
        saved = dst_file + ".fs_tools.bak"
        _replace(saved, lambda new: shutil.copy2(target, new))
        if verbose:
            print("%s is kept as %s" % (dst_file, saved))

    def fill(new):
        shutil.copyfile(src_file, new)
        if exists and os.geteuid() == 0:
            owner = os.stat(target)
            os.chown(new, owner.st_uid, owner.st_gid)
        os.chmod(new, mode)

    _replace(target, fill)
    if verbose:
        print("%s was replaced by %s, mode %o" % (dst_file, src_file, mode))
    return True


def ensure_file(path, content_from, mode=0o644, owner=None):
    """Gives path the content of the file content_from, a mode and an owner; returns whether it had to.

    owner: "user", "user:group" or ":group"; None: its own stays. In one step; a content that is
    replaced is kept as path.code.bak. A symbolic link is followed. No content_from:
    FileNotFoundError. Under LDI_NOOP=1 nothing is written.
    """
    with open(content_from, "rb") as file:
        content = file.read(MAX_READ + 1)
    if len(content) > MAX_READ:
        raise ValueError("%s is larger than %d bytes; use diff_replace" % (content_from, MAX_READ))
    return _ensure(path, content, mode, _ids(owner))


def ensure_line(path, line):
    """Adds a line to the end of a text file if no line of it is the same; returns whether it had to.

    The file is made if it is not there (mode 0644), else it keeps mode and owner, and the content
    before is kept as path.code.bak. Under LDI_NOOP=1 nothing is written.
    """
    if not line or "\n" in line:
        raise ValueError("ensure_line takes one line that is not empty")
    content, mode = b"", 0o644
    if os.path.exists(path):
        mode = os.stat(path).st_mode & 0o7777
        with open(path, "rb") as file:
            content = file.read(MAX_READ + 1)
        if len(content) > MAX_READ:
            raise ValueError("%s is larger than %d bytes; no line was added" % (path, MAX_READ))
    if line.encode() in content.split(b"\n"):
        return False
    # The last line may lack its end.
    end = b"" if not content or content.endswith(b"\n") else b"\n"
    return _ensure(path, content + end + line.encode() + b"\n", mode, (-1, -1))


def sha256(path):
    """Returns the SHA-256 of a file's content, 64 hexadecimal digits."""
    import hashlib

    found = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1024 * 1024), b""):
            found.update(piece)
    return found.hexdigest()


def replace_file(path, content, mode=0o644):
    """Gives path this content (bytes) in one step; mode is for a new file, an old one keeps its own."""
    target = os.path.realpath(path)
    facts = os.stat(target) if os.path.exists(target) else None
    _replace(target, lambda new: _fill(new, content, facts, mode if facts is None else None, (-1, -1)))


def _ensure(path, content, mode, ids):
    import shutil

    target = os.path.realpath(path)
    facts = os.stat(target) if os.path.exists(target) else None
    if facts and not os.path.isfile(target):
        raise ValueError("%s is not a regular file; it was left as it is" % path)
    same = False
    if facts and facts.st_size == len(content):
        with open(target, "rb") as file:
            same = file.read() == content
    if same and facts.st_mode & 0o7777 == mode and ids[0] in (-1, facts.st_uid) and ids[1] in (-1, facts.st_gid):
        return False
    if shell_tools.would("replace %s" % path):
        return True
    # Where only the mode differs, the backup of what was there before is worth more.
    if facts and not same:
        _replace(path + ".code.bak", lambda new: shutil.copy2(target, new))
    _replace(target, lambda new: _fill(new, content, facts, mode, ids))
    return True


def _fill(new, content, facts, mode, ids):
    with open(new, "wb") as file:
        file.write(content)
    if facts and os.geteuid() == 0:
        os.chown(new, facts.st_uid, facts.st_gid)
    if ids != (-1, -1):
        os.chown(new, *ids)
    # chown takes set-id bits away, so the mode comes last.
    os.chmod(new, facts.st_mode & 0o7777 if mode is None else mode)


def _ids(owner):
    """(uid, gid) of "user:group"; -1 for what is not named."""
    import grp
    import pwd

    user, _, group = (owner or "").partition(":")
    try:
        uid = -1 if not user else int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
        gid = -1 if not group else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ValueError('"%s" is not an owner that this machine knows' % owner) from None
    return uid, gid


def get_creation_time(file_path):
    """Returns the time of the last change of content, seconds since 1970 UTC, as an int.

    The name is historical: a time of creation is not kept by every file system.
    """
    return int(os.path.getmtime(file_path))


def mkdir(path):
    """Makes a folder and those above it; one that exists is left as it is."""
    if path:
        os.makedirs(path, exist_ok=True)


def mktempdir(mode=None):
    """Makes a new private folder and returns its path. mode: instead of 0700."""
    import tempfile

    path = tempfile.mkdtemp()
    if mode is not None:
        os.chmod(path, mode)
    return path


def move(original_path, new_path):
    """Moves a file or folder, also to another file system."""
    import shutil

    shutil.move(original_path, new_path)


def read_file(filename):
    """Returns the content of a text file (UTF-8). More than MAX_READ bytes: ValueError."""
    with open(filename, "rb") as file:
        content = file.read(MAX_READ + 1)
    if len(content) > MAX_READ:
        raise ValueError("%s is larger than %d bytes; read it piece by piece" % (filename, MAX_READ))
    return content.decode("utf-8", "replace").replace("\r\n", "\n")


def remove(remove_path):
    """Removes a file, or a folder with all in it; *, ? and [ ] stand for names.

    A path that exists is taken as it is written. Nothing there: nothing happens. A symbolic link
    is removed, not what it names. The root folder is refused.
    """
    import glob
    import shutil

    paths = [remove_path] if os.path.lexists(remove_path) else glob.glob(remove_path)
    for path in paths:
        if os.path.realpath(path) == "/" and not os.path.islink(path):
            raise ValueError("%s is the root folder; it is never removed" % path)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def timestamp_file(path):
    """Writes the time (seconds since 1970 UTC) into a file."""
    write_file(path, shell_tools.get_unix_time())


def write_file(filename, content=None, mode="w"):
    """Writes content to a file and makes the folders above it. None: an empty file.

    mode: as open takes it; with "b" content is bytes.
    """
    mkdir(os.path.dirname(filename))
    if "b" in mode:
        with open(filename, mode) as file:
            file.write(b"" if content is None else content)
    else:
        with open(filename, mode, encoding="utf-8") as file:
            file.write("" if content is None else str(content))


def get_pickle(pickle_name, pickle_path="/var"):
    """Returns the object that write_pickle kept.

    Reading a pickle can run code, so the file must belong to root or to the caller and be
    writable by no one else; anything else: PermissionError.
    """
    import pickle

    path = _pickle(pickle_name, pickle_path)
    with open(path, "rb") as file:
        facts = os.fstat(file.fileno())
        if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o022:
            raise PermissionError("%s can be written by others; it was not read: remove it" % path)
        content = file.read(MAX_READ + 1)
    if len(content) > MAX_READ:
        raise ValueError("%s is larger than %d bytes; remove it" % (path, MAX_READ))
    return pickle.loads(content)


def write_pickle(pickle_object, pickle_name, pickle_path="/var"):
    """Keeps an object for get_pickle, mode 0600. Returns whether it could; if not, logs why."""
    import pickle

    path = _pickle(pickle_name, pickle_path)
    try:
        content = pickle.dumps(pickle_object)
        mkdir(pickle_path)
        _replace(path, lambda new: write_file(new, content, "wb"))
        return True
    except Exception as error:  # pickle raises many kinds
        import sys_tools

        sys_tools.log("fs_tools-error", "cannot write %s: %s" % (path, error))
        return False


def verify_pickle(pickle_name, cache_expiration, pickle_path="/var"):
    """Returns whether a pickle is there, not empty and younger than cache_expiration seconds.

    One that is not is removed.
    """
    path = _pickle(pickle_name, pickle_path)
    if not os.path.exists(path):
        return False
    age = shell_tools.get_unix_time() - get_creation_time(path)
    # A file from the future is as useless as an old one: the clock was wrong.
    if os.path.getsize(path) > 0 and -60 <= age < cache_expiration:
        return True
    remove(path)
    return False


def _pickle(name, folder):
    if not name or "/" in name or name in (".", ".."):
        raise ValueError('"%s" is not the name of a pickle; give a name without a folder' % name)
    return os.path.join(folder, name)


def _replace(path, fill):
    """Fills a new private file beside path, then renames it to path."""
    import tempfile

    handle, new = tempfile.mkstemp(prefix=".fs_tools.", dir=os.path.dirname(path) or ".")
    os.close(handle)
    try:
        fill(new)
        os.replace(new, path)
    except BaseException:
        os.remove(new)
        raise
