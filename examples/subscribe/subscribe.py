"""Acts once per activation, with Python's standard library: the effect and the event's number are rows of one SQLite
transaction, so no activation is missed and none takes effect twice, however often this is killed.

    GRANARY_URL=http://127.0.0.1:7421 GRANARY_TOKEN=gr_... python3 subscribe.py live.sqlite [STOP_AFTER]
"""
import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("GRANARY_URL", "http://127.0.0.1:7421")
TOKEN = os.environ.get("GRANARY_TOKEN") or sys.exit("GRANARY_TOKEN is not set: a token with the scope read")


def events(cursor):
    """Events behind a cursor, for ever; a broken connection is taken up again where it was."""
    while True:
        request = urllib.request.Request(
            f"{URL}/v1/events?cursor={cursor}",
            headers={"Authorization": f"Bearer {TOKEN}", "Accept": "text/event-stream"},
        )
        try:
            # The farm sends a comment every 15 s: silence for 45 s is a dead connection.
            with urllib.request.urlopen(request, timeout=45) as stream:
                for line in stream:
                    if line.startswith(b"data: "):
                        event = json.loads(line[6:])
                        cursor = event["granarycursor"]
                        yield event
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise SystemExit(f"{error.code}: {error.read().decode()}")
            time.sleep(1)
        except OSError as error:
            print(f"{URL}: {error}; trying again", file=sys.stderr)
            time.sleep(1)


def main(path, stop_after):
    ledger = sqlite3.connect(path, isolation_level=None)
    ledger.execute("PRAGMA synchronous = FULL")
    ledger.execute("CREATE TABLE IF NOT EXISTS numbers (source TEXT PRIMARY KEY, n INTEGER, cursor TEXT)")
    ledger.execute("CREATE TABLE IF NOT EXISTS live (source TEXT PRIMARY KEY, version TEXT, activations INTEGER)")
    rows = ledger.execute("SELECT cursor FROM numbers").fetchall()
    start = max((tuple(map(int, row[0].split("-"))) for row in rows), default=(0, 0))
    for event in events(f"{start[0]}-{start[1]}"):
        source, number = event["source"], int(event["sequence"])
        ledger.execute("BEGIN IMMEDIATE")
        last = ledger.execute("SELECT n FROM numbers WHERE source = ?", (source,)).fetchone()
        if last is not None and number <= last[0]:
            ledger.execute("ROLLBACK")
            continue
        if last is not None and number != last[0] + 1:
            raise SystemExit(f"{source}: event {number} came after {last[0]}")
        if event["type"] == "dev.granary.release.activated.v1":
            ledger.execute(
                "INSERT INTO live VALUES (?, ?, 1) ON CONFLICT (source) DO UPDATE"
                " SET version = excluded.version, activations = activations + 1",
                (source, event["data"]["to"]),
            )
            print(f"{source} runs {event['data']['to']}", flush=True)
        ledger.execute(
            "INSERT INTO numbers VALUES (?, ?, ?) ON CONFLICT (source) DO UPDATE SET n = excluded.n, cursor = excluded.cursor",
            (source, number, event["granarycursor"]),
        )
        ledger.execute("COMMIT")
        if ledger.execute("SELECT coalesce(sum(activations), 0) FROM live").fetchone()[0] >= stop_after:
            return


main(sys.argv[1] if len(sys.argv) > 1 else "live.sqlite", float(sys.argv[2]) if len(sys.argv) > 2 else float("inf"))
