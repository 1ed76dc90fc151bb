"""Apply what is not applied yet to a copy of the database in memory; the database itself is only read."""

import pathlib
import sqlite3
import sys

database, folder = sys.argv[1:]
trial = sqlite3.connect(":memory:")
if pathlib.Path(database).exists():
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as real:
        real.backup(trial)
applied = trial.execute("PRAGMA user_version").fetchone()[0]
pending = sorted(pathlib.Path(folder).glob("*.sql"))[applied:]
for file in pending:
    trial.executescript(file.read_text())
broken = trial.execute("PRAGMA foreign_key_check").fetchall()
print("pending:", len(pending))
sys.exit(f"{len(broken)} broken references" if broken else 0)
