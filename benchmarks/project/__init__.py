"""A Django project whose one handler answers, and one that broadcasts: what the benchmarks measure."""
