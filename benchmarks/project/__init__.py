"""A Django project with the handlers that the load generators ask for, and a view that tells what it holds."""
