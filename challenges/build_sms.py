"""Make `auditgame/texts/sms.tsv.gz` from the SMS Spam Collection as its authors publish it.

Telephone numbers, links and addresses are masked, equal messages are kept once. The
same file gives the same bytes. Usage: python challenges/build_sms.py SMSSpamCollection
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

from auditgame.datasets.sms import SHIPPED
from auditgame.datasets.texts.anonymise import masked


def main() -> None:
    """Read the collection, write the file that comes with the program."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("collection", type=Path, help="the collection: label, tab, message")
    SHIPPED.write_bytes(shipped(asked.parse_args().collection.read_text("utf-8")))
    print(f"{SHIPPED}: {SHIPPED.stat().st_size:,} bytes")


def shipped(collection: str) -> bytes:
    """The table that comes with the program, compressed; its first row names the columns."""
    told: dict[str, str] = {}
    for line in collection.split("\n"):
        label, _, message = line.partition("\t")
        if words := masked(message):
            told.setdefault(words, label)
    rows = ["label\ttext", *(f"{label}\t{words}" for words, label in told.items())]
    return gzip.compress("\n".join(rows).encode() + b"\n", mtime=0)


if __name__ == "__main__":
    main()
