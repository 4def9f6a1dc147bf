from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plugins.diskmanager.tests.conftest import PATIENCE, Loops, Machine, Recorder, Udevd, needs, system

from undercroft.process import SystemProcess
from undercroft.testing import FakeClock, clean_kill, outcome_of
from undercroft.testing.agent import FakeAgent
from undercroft_diskmanager import udev
from undercroft_diskmanager.plugin import Config
from undercroft_diskmanager.sysfs import Roots
from undercroft_diskmanager.touched import Pending
from undercroft_diskmanager.worker import DiskManager
