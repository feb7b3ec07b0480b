"""One command per question: `python -m bench.NAME` prints a table and writes JSON and PNG to --results FOLDER."""
