"""Structure layouts for each ABI: the one place that knows how a machine lays out the kernel's structures.

A layout is a ctypes.Structure whose members carry the manual's names. The 64-bit generic ABI (asm-generic) serves most
machines; the others are listed where they differ. A machine that is not listed raises NotImplementedError: a guessed
offset would blame the kernel for a fault of this package. Tests compare the tables with a compiled probe.
"""

from __future__ import annotations

from .layout import *
from .lock import *
from .memory import *
from .msg import *
from .posix import *
from .signal import *
from .sysv import *
from .timers import *
