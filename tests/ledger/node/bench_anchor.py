"""What one anchor costs: run `python tests/ledger/node/bench_anchor.py [entries] [anchors]`.

A node process, a client over HTTP, a log of a million entries that grows by about 200 an anchor;
prints interpreter time of both sides and wall time, in milliseconds. Not a test.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from itertools import pairwise
from pathlib import Path

from eth_account import Account

from ledger.chain import ChainClient

KEY = b"\x01" * 32
LOG = b"\x07" * 32


def half(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)


@cache
def tree(size: int) -> bytes:
    if size == 1:
        return hashlib.sha256(b"\x00").digest()
    return hashlib.sha256(b"\x01" + tree(half(size)) + tree(size - half(size))).digest()


def proof(old: int, new: int, complete: bool = True) -> list[bytes]:
    if old == new:
        return [] if complete else [tree(new)]
    k = half(new)
    if old <= k:
        return [*proof(old, k, complete), tree(new - k)]
    return [*proof(old - k, new - k, False), tree(k)]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(entries: int, anchors: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ledger.node", "--data", folder]
        process = subprocess.Popen(
            [*command, "--sender", Account.from_key(KEY).address],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            client = ChainClient(json.loads(process.stdout.readline())["url"], account_key=KEY)
            client.deploy()
            client.open_log(LOG)
            sizes = [entries + 197 * step for step in range(anchors + 11)]
            steps = [(0, entries, [])] + [
                (old, new, proof(old, new)) for old, new in pairwise(sizes)
            ]
            for old, new, path in steps[:11]:
                client.anchor(LOG, old_size=old, size=new, root=tree(new), proof=path)
            steps = steps[11:]
            node, ours, wall = cpu_seconds(process.pid), time.process_time(), time.monotonic()
            for old, new, path in steps:
                client.anchor(LOG, old_size=old, size=new, root=tree(new), proof=path)
            each = 1000 / len(steps)
            print(
                f"anchors {len(steps)}, proof {sum(len(p) for *_, p in steps) / len(steps):.1f} "
                f"hashes, client CPU {(time.process_time() - ours) * each:.2f} ms, "
                f"node CPU {(cpu_seconds(process.pid) - node) * each:.2f} ms, "
                f"wall {(time.monotonic() - wall) * each:.2f} ms"
            )
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] + ["1000000", "300"][len(sys.argv) - 1 :])))
