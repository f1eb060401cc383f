"""Signals: pages that the server changes, forms that it checks, elements that call it, and a task that reports."""
