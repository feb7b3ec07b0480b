"""One command per question: `python -m bench.NAME`; each prints a table and writes JSON and a PNG to bench/results."""
