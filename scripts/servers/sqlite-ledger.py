"""A ledger in SQLite (WAL mode): two processes move money between accounts and say what was committed.

  sqlite-ledger.py run DIRECTORY ROUND     until killed; each commit is a line `ack STREAM NUMBER MILLISECONDS`
  sqlite-ledger.py check DIRECTORY ROUND   JSON: problems, and the highest number of each stream of that round
"""
import json
import os
import random
import sqlite3
import sys
import time

# Many: a database that takes a while to read.
ACCOUNTS = int(os.environ.get("LEDGER_ACCOUNTS", "500"))
WORKERS = 2


def connect(directory):
    database = sqlite3.connect(os.path.join(directory, "ledger.sqlite"), timeout=30, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    # Small, so that the log is moved into the database many times in a run.
    database.execute("PRAGMA wal_autocheckpoint=100")
    return database


def create(database):
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, balance INTEGER, pad TEXT)")
    database.execute("CREATE TABLE IF NOT EXISTS journal (stream TEXT, number INTEGER, amount INTEGER, note TEXT, PRIMARY KEY (stream, number))")
    if database.execute("SELECT count(*) FROM account").fetchone()[0] == 0:
        rows = [(i, 1000, "p" * 200) for i in range(ACCOUNTS)]
        database.executemany("INSERT INTO account VALUES (?, ?, ?)", rows)
    database.execute("COMMIT")


def work(directory, stream):
    database = connect(directory)
    number = 0
    out = os.fdopen(1, "wb", buffering=0)
    while True:
        number += 1
        one, other = random.sample(range(ACCOUNTS), 2)
        amount = random.randrange(1, 50)
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, one))
        database.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, other))
        note = random.randbytes(random.randrange(200)).hex()
        database.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", (stream, number, amount, note))
        database.execute("COMMIT")
        out.write(f"ack {stream} {number} {time.time() * 1000:.3f}\n".encode())
        time.sleep(0.002)


def run(directory, round_name):
    os.makedirs(directory, exist_ok=True)
    database = connect(directory)
    create(database)
    database.close()
    for worker in range(1, WORKERS):
        if os.fork() == 0:
            work(directory, f"{round_name}-{worker}")
    work(directory, f"{round_name}-0")


def check(directory, round_name):
    problems = []
    database = connect(directory)
    for table in ("PRAGMA integrity_check", "PRAGMA foreign_key_check"):
        problems += [row[0] for row in database.execute(table) if row[0] != "ok"]
    total = database.execute("SELECT coalesce(sum(balance), 0), count(*) FROM account").fetchone()
    if total != (1000 * ACCOUNTS, ACCOUNTS):
        problems.append(f"{total[1]} accounts hold {total[0]}")
    gaps = database.execute("SELECT stream, count(*), max(number) FROM journal GROUP BY stream HAVING count(*) != max(number)").fetchall()
    problems += [f"{stream}: {count} entries, the last is {last}" for stream, count, last in gaps]
    highest = dict(database.execute("SELECT stream, max(number) FROM journal WHERE stream LIKE ? GROUP BY stream", (f"{round_name}-%",)))
    database.close()
    print(json.dumps({"problems": problems, "highest": highest}))


try:
    {"run": run, "check": check}[sys.argv[1]](*sys.argv[2:])
except sqlite3.DatabaseError as error:
    if sys.argv[1] == "run":
        raise
    print(json.dumps({"problems": [f"{type(error).__name__}: {error}"], "highest": {}}))
