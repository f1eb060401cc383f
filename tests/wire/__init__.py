"""
The rules of the wire, each tested with raw bytes against the servers that users run.

All imports inside are relative.
"""
