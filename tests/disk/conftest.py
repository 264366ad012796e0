"""The tests of the whole image are left out where FORMATION_TEST_IMAGE names no folder
that `image/build` filled: `./test.sh --image` builds it and runs them."""

import os

WHOLE = ["test_boot.py", "test_first_boot.py"]
collect_ignore = [] if "FORMATION_TEST_IMAGE" in os.environ else WHOLE
