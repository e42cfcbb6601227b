"""A run that writes records and does nothing else, for test_resume.py to kill. Argument: folder."""

import sys
from pathlib import Path

import pyarrow as pa

from speclight.measure.store import RecordFolder

sys.stdout.write("started\n")
sys.stdout.flush()
records = RecordFolder(Path(sys.argv[1]), {"kind": "toy", "units": 60})
for number in range(60):
    name = f"unit-{number:02}"
    if not records.has(name):
        records.write(name, pa.table({"number": [number] * 1000}))
