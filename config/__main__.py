"""Configuration as a file: prints deploy/.env.example."""

import sys

from config import env_example

if __name__ == "__main__":
    sys.stdout.write(env_example())
