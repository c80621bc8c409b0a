"""Packs: folders of abilities around the core. registry.py loads them."""
