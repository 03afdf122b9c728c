"""Run tests/kernel and the suite on other CPU architectures: every ABI of the tables, with Debian's own programs.

    python -m tests.foreign [--trees DIR] [ARCH...]

For each architecture, a tree of Debian packages (python3, gcc, libc6-dev) is extracted, and entered in new namespaces
in which qemu-user emulates the CPU; i386 needs no emulator if the kernel runs 32-bit programs. There tests/kernel
compares the structures with those of the tree's compiler, and the conformance suite uses them. Slow, and therefore not
part of the usual tests. It fails if a test fails or a clause is `broken`; deviations, which are the emulator's, are
reported, and KNOWN has the known failures of tests.

Needs mmdebstrap, qemu-user-static and unshare, binfmt_misc in a user namespace (Linux 6.7) and a mirror that apt knows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]

# What Debian calls the machine, and the emulator's configuration of binfmt_misc.
MACHINES = {
    "i386": "i386",
    "arm": "armhf",
    "aarch64": "arm64",
    "riscv64": "riscv64",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
}
RELEASE = "trixie"  # the first with riscv64
PACKAGES = "python3,gcc,libc6-dev,linux-libc-dev,dash,coreutils,util-linux"
PURE = ("pytest", "pytest-xdist", "pytest-timeout", "rich", "hypothesis")

# What fails for the emulator's sake, by machine. qemu 7.2 gives the mode of a System V object 16 bits where s390x has
# 32. On arm it loses the signal that F_SETSIG chose and knows no indices of System V objects; i386, whose structures
# are the same, passes all of these on a real kernel.
KNOWN = {
    "arm": (
        "test_mlock2_accepts_mlock_onfault",
        "test_notify_sends_the_signal_of_setsig",
        "test_lease_break_signal_has_the_descriptor",
        "test_msgctl_limits_and_info",
        "test_set_is_created_changed_and_removed",
    ),
    "s390x": (
        "test_segment_is_created_attached_and_removed",
        "test_sysvipc_shm_agrees_with_shmctl",
        "test_set_is_created_changed_and_removed",
        "test_semctl_set_of_all_values_needs_no_read_permission",
    ),
}

ENTER = """
set -e
tree=$1; emulator=$2; shift 2
if [ -n "$emulator" ]; then
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    cat "$emulator" >/proc/sys/fs/binfmt_misc/register
fi
mount --rbind /proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --bind "$PROJECT" "$tree/project"
mount --bind "$SITE" "$tree/site"
exec "$CHROOT" "$tree" "$@"
"""


def main() -> int:
    """Go over the machines; the exit status is that of the worst."""
    parser = argparse.ArgumentParser(prog="python -m tests.foreign", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "machines", nargs="*", metavar="ARCH", help=f"one of {', '.join(MACHINES)}; all if none is named"
    )
    parser.add_argument("--trees", type=Path, default=Path("trees"), help="where the trees are kept (./trees)")
    parser.add_argument("--mirror", help="a Debian mirror; the first that apt knows, if none is given")
    parser.add_argument(
        "--clauses", nargs="*", default=[], help="what of the suite to check; everything, if nothing is named"
    )
    options = parser.parse_args()
    if unknown := set(options.machines) - MACHINES.keys():
        parser.error(f"no such machine: {', '.join(sorted(unknown))}; there are {', '.join(MACHINES)}")
    emulated = (f"qemu-{machine}-static" for machine in options.machines or MACHINES if machine != "i386")
    for program in ("mmdebstrap", "unshare", *emulated):  # the kernel of this machine runs programs for i386 itself
        if shutil.which(program) is None:
            parser.error(f"needs {program}: Debian's packages mmdebstrap, util-linux and qemu-user-static")
    options.trees.mkdir(parents=True, exist_ok=True)
    trees = options.trees.resolve()
    site = make_site(trees / "site")
    mirror = options.mirror or mirror_of_apt()
    failed = []
    for machine in options.machines or MACHINES:
        tree = make_tree(trees / machine, machine, mirror)
        if not judge(machine, tree, site, options.clauses):
            failed.append(machine)
    print(f"failed: {', '.join(failed)}" if failed else "every machine passes")
    return 1 if failed else 0


def mirror_of_apt() -> str:
    """Return the mirror that this machine's own packages come from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()[0]


def make_site(path: Path) -> Path:
    """Return the packages that the suite needs, as pure Python: a compiled part would not fit every architecture."""
    if not path.exists():
        print("packages", flush=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(path)]
        install += [
            "--only-binary=:all:",
            "--platform=any",
            "--implementation=py",
            "--abi=none",
            "--python-version=3.13",
        ]
        subprocess.run([*install, *PURE], check=True)
    return path


def make_tree(path: Path, machine: str, mirror: str) -> Path:
    """Return a tree of Debian for *machine*, extracted only: no program of it runs for that."""
    if path.exists():
        return path
    print(f"{machine}: a tree of Debian", flush=True)
    making = path.with_name(f"{path.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--architectures={MACHINES[machine]}"]
    subprocess.run([*command, f"--include={PACKAGES}", RELEASE, str(making), mirror], check=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if (making / "usr" / name).is_dir() and not (making / name).exists():
            (making / name).symlink_to(f"usr/{name}")
    (making / "usr/bin/cc").symlink_to("gcc")
    for name in ("proc", "dev", "project", "site", "tmp"):
        (making / name).mkdir(exist_ok=True)
    making.rename(path)
    return path


def judge(machine: str, tree: Path, site: Path, clauses: list[str]) -> bool:
    """Return whether tests/kernel passes on *machine* and the suite is not broken there."""
    print(f"{machine}: tests/kernel", flush=True)
    python = ["/usr/bin/python3", "-m"]
    spared = [f"-knot ({' or '.join(KNOWN[machine])})"] if machine in KNOWN else []
    tests = [
        *python,
        "pytest",
        "/project/tests/kernel",
        "--rootdir=/project",
        "-c/project/pyproject.toml",
        "-q",
        *spared,
    ]
    passed = inside(tree, machine, site, [*tests, "-ppytest_ipc.plugin", "-pno:cacheprovider"]) == 0
    print(f"{machine}: the suite", flush=True)
    report = tree / "tmp" / "report.json"
    report.unlink(missing_ok=True)
    inside(tree, machine, site, [*python, "pytest_ipc", "check", "--report", "/tmp/report.json", *clauses])
    if not report.exists():
        return False
    verdicts = [clause["verdict"] for clause in json.loads(report.read_text())["clauses"]]
    return passed and "broken" not in verdicts


def inside(tree: Path, machine: str, site: Path, command: list[str]) -> int:
    """Run *command* in the tree, with user, IPC and mount namespaces of its own, and binfmt_misc with them."""
    emulator = Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf")
    environment = {
        "PROJECT": str(PROJECT),
        "SITE": str(site),
        "CHROOT": shutil.which("chroot", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "chroot",
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": "/project:/site",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
    }
    unshare = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--ipc",
        "--propagation=private",
        "sh",
        "-c",
        ENTER,
        "-",
    ]
    unshare += [str(tree), str(emulator) if emulator.exists() else ""]
    return subprocess.run([*unshare, *command], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
