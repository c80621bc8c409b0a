"""Configuration as documents: prints docs/settings.md, or with `--env` deploy/.env.example."""

import sys

from config import env_example, settings_page

if __name__ == "__main__":
    sys.stdout.write(env_example() if "--env" in sys.argv[1:] else settings_page())
