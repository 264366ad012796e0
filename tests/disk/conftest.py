"""The tests of the whole image are left out where FORMATION_TEST_IMAGE names no folder
that `image/build` filled: `./test.sh --image` builds it and runs them."""

import os

collect_ignore = [] if "FORMATION_TEST_IMAGE" in os.environ else ["test_boot.py"]
