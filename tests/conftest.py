"""Settings of the whole suite."""

import os

from hypothesis import settings

# The same examples on every run; HYPOTHESIS_PROFILE=explore draws new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# No run of the suite reads or writes the user's cache.
os.environ["SUANLI_CACHE"] = ""
