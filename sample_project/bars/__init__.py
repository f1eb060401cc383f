"""Progress bars: one, many, with engines, for an import and for a Celery task."""
