"""The former place of net/async_deadline.py: plugins that import it go on working until the version after 0.2."""

import warnings

from net.async_deadline import *  # noqa: F403

warnings.warn("nodes.loops is net.async_deadline now, and goes after version 0.2", DeprecationWarning, stacklevel=2)
