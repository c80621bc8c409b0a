"""The former place of net/egress.py: plugins that import it go on working until the version after 0.2."""

import warnings

from net.egress import *  # noqa: F403

warnings.warn("nodes.egress is net.egress now, and goes after version 0.2", DeprecationWarning, stacklevel=2)
