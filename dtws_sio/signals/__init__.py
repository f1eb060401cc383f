"""Signals: names to which functions are connected, here and in pages, and which either side triggers."""
