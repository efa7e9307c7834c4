"""A ledger in LevelDB: batches move money between accounts and say what was written.

  leveldb-ledger.py run DIRECTORY ROUND     until killed; each batch is a line `ack STREAM NUMBER MILLISECONDS`
  leveldb-ledger.py check DIRECTORY ROUND   JSON: problems, and the highest number of the stream of that round
"""
import json
import os
import random
import sys
import time

import plyvel

ACCOUNTS = 500


def connect(directory):
    # Small buffers: many tables, many compactions.
    return plyvel.DB(directory, create_if_missing=True, write_buffer_size=1 << 16, max_file_size=1 << 18, paranoid_checks=True)


def account(number):
    return b"account/%06d" % number


def run(directory, round_name):
    database = connect(directory)
    balances = {i: int(database.get(account(i), b"1000")) for i in range(ACCOUNTS)}
    with database.write_batch(sync=True) as batch:
        for i, balance in balances.items():
            batch.put(account(i), b"%d" % balance)
    out = os.fdopen(1, "wb", buffering=0)
    number = 0
    while True:
        number += 1
        one, other = random.sample(range(ACCOUNTS), 2)
        amount = random.randrange(1, 50)
        balances[one] -= amount
        balances[other] += amount
        with database.write_batch() as batch:
            batch.put(account(one), b"%d" % balances[one])
            batch.put(account(other), b"%d" % balances[other])
            batch.put(b"journal/%s/%09d" % (round_name.encode(), number), random.randbytes(random.randrange(400)))
        out.write(f"ack {round_name} {number} {time.time() * 1000:.3f}\n".encode())
        time.sleep(0.001)


def check(directory, round_name):
    problems = []
    database = connect(directory)
    total = held = 0
    streams = {}
    for key, value in database.iterator(verify_checksums=True, fill_cache=False):
        if key.startswith(b"account/"):
            held += 1
            total += int(value)
        else:
            _, stream, number = key.decode().split("/")
            before = streams.get(stream, 0)
            if int(number) != before + 1:
                problems.append(f"{stream}: {number} follows {before}")
            streams[stream] = int(number)
    if (held, total) not in ((0, 0), (ACCOUNTS, 1000 * ACCOUNTS)):
        problems.append(f"{held} accounts hold {total}")
    database.close()
    print(json.dumps({"problems": problems[:5], "highest": {round_name: streams.get(round_name, 0)}}))


try:
    {"run": run, "check": check}[sys.argv[1]](*sys.argv[2:])
except plyvel.Error as error:
    if sys.argv[1] == "run":
        raise
    print(json.dumps({"problems": [f"{type(error).__name__}: {error}"], "highest": {}}))
