"""`python -m t2fast` is the command `t2fast`."""

import sys

from t2fast.cli.main import main

sys.exit(main())
