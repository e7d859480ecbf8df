"""Cases that the published Node SDK has no call for, by Python's gRPC and stubs made from our proto: `cases.py ID`.

The names are the wire contract's. A case that needs something done to the fleet prints `ask WORDS` and reads `ok`.
"""

import os
import sys

import access  # noqa: F401
import attached  # noqa: F401
import execute  # noqa: F401
import files
import fleet  # noqa: F401
import offered  # noqa: F401
import raw  # noqa: F401
import sessions  # noqa: F401
import typed  # noqa: F401
from kit import CASES, Client, case, fails

files.add(case, Client, fails)


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        print("\n".join(CASES))
        sys.exit(0)
    CASES[sys.argv[1]]()
    sys.stdout.flush()
    os._exit(0)
