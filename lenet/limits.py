"""How much of a file is read, and for how long: beyond these limits it is refused.

Whoever sends a file chooses its size; these bounds choose the memory and the time it can take. They
are far above what this project writes and what people have.
"""

DATASET_BYTES = 2**30
"""An array of a dataset, decompressed; one that fits on a device is far smaller."""
JSON_BYTES = 2**28
"""A JSON file of a run directory or a dataset. How deeply it nests, Python's recursion limits."""
LINES_BYTES = 2**32
"""A file of JSON lines: the ledger of a million runs."""
CHECKPOINT_BYTES = 2**32
HEADER_BYTES = 2**16
"""The JSON header of a checkpoint."""
MANIFEST_BYTES = 2**20
"""The JSON of a cached dataset: 256 class names fit a thousand times."""

PICTURE_BYTES = 64_000_000
PICTURE_PIXELS = 50_000_000
"""Checked before decompression."""

CONNECT_SECONDS = 5.0
"""For the look-up of a name, the connection and the first byte together."""
STALL_SECONDS = 15.0
"""Without a byte, after the first."""
DOWNLOAD_SECONDS = 1800.0
"""For the files of a dataset together: 30 MB at 17 kB/s."""
