"""`sentinel trace` compiles and answers on this kernel, too: the one suite, where the lane was given headers."""

from netns.test_trace import *  # noqa: F403  (the suite itself; it skips with a sentence where headers or bcc are missing)
