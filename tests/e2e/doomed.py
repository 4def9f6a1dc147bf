"""An agent that kills itself at a named moment of its storage's life: `python doomed.py MOMENT agent`."""

from __future__ import annotations

import sys

from plugins.storageprovisioner.tests.moments import arm

from undercroft.__main__ import main

if __name__ == "__main__":
    arm(sys.argv.pop(1))
    main()
