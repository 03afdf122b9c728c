"""The arguments of programs and children, checked before a process is started for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from errno import E2BIG, EACCES, EBADF, ENOENT, ENOEXEC
from stat import S_ISDIR, S_ISREG

from ..printable import plain
from ..unpatched import io, os

__all__ = [
    "Argument",
    "checked_command",
    "checked_descriptors",
    "checked_directory",
    "checked_environment",
    "execution_error",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Argument = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def checked_command(argv: Sequence[Argument]) -> tuple[str, ...]:
    """Return *argv* as text. TypeError, ValueError if no program can be given it."""
    if isinstance(argv, (str, bytes)) or not isinstance(argv, Sequence) or not argv:
        raise TypeError(f"argv must be a non-empty sequence of arguments, as in ['ls', '-l'], not {argv!r}")
    words = tuple(_text(word, f"argv[{number}]") for number, word in enumerate(argv))
    if not words[0]:
        raise ValueError("argv[0] must be the name or path of a program, not ''")
    return words


def checked_environment(env: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return *env* as text; None for that of this process. TypeError, ValueError."""
    if env is None:
        return None
    if not isinstance(env, Mapping):
        raise TypeError(f"env must be a mapping of names to values, as in {{'LANG': 'C'}}, not {env!r}")
    found = {}
    for name, value in env.items():
        word = _text(name, "a name in env")
        if not word or "=" in word:
            raise ValueError(f"a name in env must be non-empty and without '=', not {word!r}")
        found[word] = _text(value, f"env[{word!r}]")
    return found


def checked_directory(cwd: str | os.PathLike[str] | None) -> str | None:
    """Return *cwd* as text; None for that of this process. TypeError, ValueError."""
    return None if cwd is None else _text(cwd, "cwd")


def checked_descriptors(fds: Iterable[int], what: str) -> tuple[int, ...]:
    """Return *fds*, the argument *what*, if each is open. TypeError; OSError (EBADF)."""
    if isinstance(fds, (str, bytes)) or not isinstance(fds, Iterable):
        raise TypeError(f"{what} must be a sequence of descriptors, as in (pipe.read_fd,), not {fds!r}")
    found = tuple(fds)
    for fd in found:
        if isinstance(fd, bool) or not isinstance(fd, int):
            raise TypeError(f"{what} must contain descriptors, which are integers, not {fd!r}")
        try:
            os.fstat(fd)
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno != EBADF:
                raise
            raise OSError(EBADF, f"{what} must contain open descriptors, not {fd}") from None
    return found


def _text(value: Argument, what: str) -> str:
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{what} must be a string or a path, not {value!r}")
    text = os.fsdecode(value)
    if "\0" in text:
        raise ValueError(f"{what} must not contain a NUL: {text[:80]!r}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} must be encodable as {error.encoding}, not {text[:80]!r}") from None
    return text


def execution_error(call: str, code: int, words: Sequence[str], env: Mapping[str, str], cwd: str | None) -> OSError:
    """Return the error of a program that could not be executed: *call* failed with the errno *code*."""
    error = OSError(code, f"{call}: {os.strerror(code)}", cwd if call == "chdir to cwd" else words[0])
    if call == "execve" and (reason := _why(code, words, env, cwd)):
        error.add_note(reason)
    return error


def _why(code: int, words: Sequence[str], env: Mapping[str, str], cwd: str | None) -> str:
    """Return why execve(2) of *words* in *cwd* fails with the errno *code*, for people; "" if nothing is known."""
    program = words[0]
    if code == E2BIG:
        given = [*words, *(f"{name}={value}" for name, value in env.items())]
        size = sum(len(os.fsencode(word)) + 1 for word in given)
        return f"arguments and environment have {size} bytes; each may have 131,071, all a quarter of RLIMIT_STACK"
    if "/" not in program:
        path = os.pathsep.join(os.get_exec_path(env))
        return plain(f"{program} is not in PATH, which is {path}") if code == ENOENT else ""
    program = os.path.join(cwd or "", program)
    try:
        mode = os.stat(program).st_mode
        if S_ISDIR(mode):
            return "it is a directory"
        if code == EACCES and S_ISREG(mode) and not mode & 0o111:
            return f"it is not executable: its mode is {mode & 0o7777:#o}"
        with io.open(program, "rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    if code == ENOENT:
        return plain(f"its interpreter does not exist: {os.fsdecode(first).strip()}") if first[:2] == b"#!" else ""
    return "it is neither a binary of this machine nor a script that begins with #!" if code == ENOEXEC else ""
