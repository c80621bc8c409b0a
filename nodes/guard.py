"""The former place of net/egress_guard.py: plugins that import it go on working until the version after 0.2."""

import warnings

from net.egress_guard import *  # noqa: F403

warnings.warn("nodes.guard is net.egress_guard now, and goes after version 0.2", DeprecationWarning, stacklevel=2)
